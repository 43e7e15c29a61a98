"""A small recording whose schedules were worked out by hand, and a second simulator to compare with."""

import heapq
from dataclasses import dataclass, replace

from dcdaemon.core.plan import Start
from dcdaemon.core.view import ClusterView, QueuedJob, RunningJob
from dcdaemon.scheduler.cycle import anything_fits, plan
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.workload import RecordedJob

#: Two nodes with two GPUs each.
SMALL = Cluster(2, 2)
#: submit, duration, GPUs, limit. The third is a gang of both nodes; the fifth has no limit.
JOBS = [
    RecordedJob(0, 100, 1, 120),
    RecordedJob(0, 60, 2, 60),
    RecordedJob(10, 50, 4, 60),
    RecordedJob(20, 70, 1, 90),
    RecordedJob(30, 200, 1, None),
    RecordedJob(65, 30, 2, 60),
]


@dataclass
class Seen:
    """What a witness of a play saw."""

    starts: list[tuple[float, Start]]

    def __call__(self, now: float, start: Start) -> None:
        self.starts.append((now, start))


def plain_play(jobs, estimates_s, cluster, choice) -> list[tuple[float, Start]]:
    """The same story told simply: a fresh view at every event, and plan() on it."""
    view, queue, ends, seen, coming = cluster.view(), QueueIndex(), [], [], list(enumerate(jobs))
    memory = Memory([cluster.gpus_per_node] * cluster.nodes, choice.policy)
    while coming or ends:
        now = min([job.submit_s for _, job in coming[:1]] + [end for end, _ in ends[:1]])
        while ends and ends[0][0] <= now:
            gone = heapq.heappop(ends)[1]
            view = ClusterView(view.nodes, tuple(job for job in view.running if job.id != gone))
            memory.ended(gone, jobs[gone].duration_s, now)
        while coming and coming[0][1].submit_s <= now:
            number, job = coming.pop(0)
            limit_s = choice.limit_of(job, estimates_s[number])
            predicted_s = choice.prediction_of(estimates_s[number])
            queued = QueuedJob(
                number, number, 50, job.gpus, 0, 0, limit_s, queued_at=job.submit_s, predicted_s=predicted_s
            )
            queue.add(queued)
            memory.queued(queued, now)
        if not anything_fits(queue, spaces_of(view), choice.policy):
            continue
        decided = plan(replace(view, standing=memory.standing(now)), queue, choice.policy, now)
        memory.keep(decided)
        for start in decided.starts:
            begun = queue.remove(start.job_id)
            limit_s, predicted_s = begun.limit_s, begun.predicted_s
            ends_at = None if limit_s is None else now + limit_s
            held = [(start.node, start.gpus), *start.also]
            runs = tuple(RunningJob(start.job_id, *part, 0, 0, ends_at, now, predicted_s) for part in held)
            view = ClusterView(view.nodes, view.running + runs)
            memory.started(start.job_id, now)
            heapq.heappush(ends, (now + jobs[start.job_id].duration_s, start.job_id))
            seen.append((now, start))
    return seen
