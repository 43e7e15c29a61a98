"""What must hold whatever jobs are stopped and started again."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.scheduler.swaps import MOST_FOR_OVERDUE
from dcdaemon.simulator.attempts import SwapStage
from dcdaemon.simulator.choices import ALL
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.play import play
from dcdaemon.simulator.study import estimates
from dcdaemon.simulator.workload import RecordedJob

CHOICE = ALL["preempt"]
COSTS = CHOICE.policy.swaps
CLUSTERS = st.builds(Cluster, st.integers(1, 3), st.sampled_from([1, 2, 8]))


@st.composite
def stories(draw):
    """Some long jobs and many that come later."""
    cluster = draw(CLUSTERS)
    widths = st.integers(1, cluster.gpus)
    long = [RecordedJob(0.0, draw(st.floats(5e3, 4e5)), draw(widths)) for _ in range(draw(st.integers(1, 6)))]
    submits = sorted(draw(st.lists(st.floats(1, 60_000), min_size=1, max_size=20)))
    late = [RecordedJob(at, draw(st.sampled_from([0.0, 60.0, 900.0, 7e3, 5e4])), draw(widths)) for at in submits]
    jobs = long + late
    return jobs, estimates(jobs, draw(st.sampled_from([0.0, 1.0])), draw(st.integers(0, 9))), cluster, CHOICE


class Watched(SwapStage):
    """A stage that writes down each attempt: its start, its GPUs, and when it was stopped."""

    def __init__(self, *story):
        super().__init__(*story, None)
        self.attempts = {number: [] for number in range(len(story[0]))}
        self.swap_gpu_s = 0.0

    def _run(self, start, at):
        super()._run(start, at)
        gpus = {(node, gpu) for node, held in [(start.node, start.gpus), *start.also] for gpu in held}
        self.attempts[start.job_id].append([at, gpus, None])

    def _swap(self, swap, now):
        freed = set()
        for victim in swap.victims:
            self.attempts[victim][-1][2] = now
            freed |= self.attempts[victim][-1][1]
        super()._swap(swap, now)
        self.swap_gpu_s += COSTS.stop_s * len(freed | self.attempts[swap.start.job_id][-1][1])

    def play(self):
        while (now := self.next_event()) < math.inf:
            self.meter.pass_to(now)
            self.end_jobs(now)
            self.submit_jobs(now)
            self.start_jobs(now)
            for node in self._spaces:
                held = [gpu for hold in node.holds for gpu in hold.gpus]
                assert sorted([*held, *node.free]) == sorted(node.usable), "each GPU is held once or free"


@settings(deadline=None)
@given(stories())
def test_every_job_finishes_and_its_progress_is_its_duration(story):
    jobs, _, cluster, _ = story
    stage = Watched(*story)
    stage.play()
    busy_gpu_s = stage.swap_gpu_s
    lost_gpu_s = 0.0
    for number, job in enumerate(jobs):
        saved_s, attempts = 0.0, stage.attempts[number]
        assert 1 <= len(attempts) <= MOST_FOR_OVERDUE + 1
        for place, (at, gpus, stopped_at) in enumerate(attempts):
            works_from = at + (COSTS.restart_s if place else 0.0)
            last = place == len(attempts) - 1
            assert (stopped_at is None) == last, "only what is stopped starts again"
            end = works_from + job.duration_s - saved_s if last else stopped_at
            assert end >= works_from
            if not last:
                lost_s = (end - works_from) % COSTS.checkpoint_s
                saved_s += end - works_from - lost_s
                lost_gpu_s += lost_s * len(gpus)
            busy_gpu_s += (end - at) * len(gpus)
        assert attempts[0][0] == stage.starts_s[number] >= job.submit_s
        assert math.isclose(end, stage.starts_s[number] + job.duration_s + stage.again_s[number], abs_tol=1e-3)
    assert stage.preemptions == sum(len(attempts) - 1 for attempts in stage.attempts.values())
    assert math.isclose(stage.lost_gpu_s, lost_gpu_s, abs_tol=1e-3)
    # Work that counted, work that was lost, and the time to stop and to come back are all that GPUs were held for.
    assert math.isclose(stage.meter.busy_gpu_s, busy_gpu_s, rel_tol=1e-9, abs_tol=1e-3)
    assert stage.meter.busy_gpu_s <= cluster.gpus * (stage.meter.at - stage.meter.began) * (1 + 1e-9)


@settings(deadline=None, max_examples=30)
@given(stories())
def test_the_same_recording_gives_the_same_schedule(story):
    assert play(*story) == play(*story)
