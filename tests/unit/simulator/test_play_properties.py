"""What must hold for every recording, every machine and every policy."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import Seen, plain_play

from benchmarks.plain_replay import fifo_starts, lowest
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.play import play
from dcdaemon.simulator.study import estimates
from dcdaemon.simulator.workload import RecordedJob

CLUSTERS = st.builds(Cluster, st.integers(1, 4), st.integers(1, 4))
CHOSEN = st.sampled_from(list(CHOICES.values()))
SIGMAS = st.sampled_from([0.0, 0.0, 1.0])


@st.composite
def recordings(draw, cluster):
    submits = sorted(draw(st.lists(st.integers(0, 60), min_size=1, max_size=25)))
    return [
        RecordedJob(
            float(submit_s),
            float(draw(st.integers(0, 40))),
            draw(st.integers(1, cluster.gpus)),
            draw(st.sampled_from([None, 40.0, 60.0])),
        )
        for submit_s in submits
    ]


@st.composite
def stories(draw):
    cluster = draw(CLUSTERS)
    jobs = draw(recordings(cluster))
    return jobs, estimates(jobs, draw(SIGMAS), draw(st.integers(0, 9))), cluster, draw(CHOSEN)


@given(stories())
def test_no_gpu_is_given_twice_no_job_is_lost_and_each_runs_as_long_as_it_did(story):
    jobs, estimates_s, cluster, choice = story
    seen = Seen([])
    outcome = play(jobs, estimates_s, cluster, choice, witness=seen)
    assert sorted(start.job_id for _, start in seen.starts) == list(range(len(jobs)))
    uses: dict[tuple[str, int], list[tuple[float, float]]] = {}
    held_gpu_s = 0.0
    for now, start in seen.starts:
        job = jobs[start.job_id]
        held = [(node, gpu) for node, gpus in [(start.node, start.gpus), *start.also] for gpu in gpus]
        assert now == outcome.starts_s[start.job_id] >= job.submit_s
        assert len(held) == job.gpus if not start.also else len(held) >= job.gpus
        held_gpu_s += len(held) * job.duration_s
        for gpu in held:
            uses.setdefault(gpu, []).append((now, now + job.duration_s))
    for spans in uses.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert outcome.busy_gpu_s == held_gpu_s
    ends = [start_s + job.duration_s for start_s, job in zip(outcome.starts_s, jobs, strict=True)]
    assert outcome.makespan_s == max(ends) - jobs[0].submit_s


@given(stories())
def test_while_a_job_waits_the_machine_is_never_empty(story):
    jobs, estimates_s, cluster, choice = story
    outcome = play(jobs, estimates_s, cluster, choice)
    runs = [(start_s, start_s + job.duration_s) for start_s, job in zip(outcome.starts_s, jobs, strict=True)]
    events = sorted({moment for run in runs for moment in run} | {job.submit_s for job in jobs})
    for now, later in pairwise(events):
        waits = any(job.submit_s <= now < start_s for job, start_s in zip(jobs, outcome.starts_s, strict=True))
        assert not waits or any(begin <= now and later <= end for begin, end in runs)
    assert 0 <= outcome.stranded_gpu_s <= cluster.gpus * outcome.makespan_s - outcome.busy_gpu_s


@given(stories())
def test_fifo_is_first_in_first_out(story):
    jobs, estimates_s, cluster, _ = story
    starts_s = play(jobs, estimates_s, cluster, CHOICES["fifo"]).starts_s
    assert starts_s == sorted(starts_s)


@given(st.integers(1, 5), st.data())
def test_fifo_is_what_a_plain_replay_makes_of_it(nodes, data):
    widths = [width for width in (1, 2, 4, 8, 16, 32) if width <= 8 * nodes]
    submits = sorted(data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=40)))
    durations, gpus = st.integers(0, 60), st.sampled_from(widths)
    jobs = [RecordedJob(float(at), float(data.draw(durations)), data.draw(gpus)) for at in submits]
    starts_s = play(jobs, [0.0] * len(jobs), Cluster(nodes, 8), CHOICES["fifo"]).starts_s
    assert starts_s == fifo_starts([job[:3] for job in jobs], nodes, lowest)


@settings(max_examples=60)
@given(stories())
def test_keeping_the_spaces_gives_the_very_schedule_of_a_fresh_view_at_every_event(story):
    seen = Seen([])
    play(*story, witness=seen)
    assert seen.starts == plain_play(*story)
