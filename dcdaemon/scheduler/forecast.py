"""When a waiting job is expected to start, if every job runs to its limit and no other comes."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dcdaemon.core.plan import Start
from dcdaemon.core.view import ClusterView, QueuedJob, RunningJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex

#: How many ends are played through; a start further away is called unknown.
MAX_STEPS = 50


@dataclass(frozen=True, slots=True)
class Forecast:
    """A start to expect: when, on which node, and which of the jobs running now end there before."""

    at: float
    node: str
    ended: tuple[int, ...]
    after_others: bool


@dataclass(slots=True)
class _Future:
    """The cluster as it moves on from end to end."""

    view: ClusterView
    queue: QueueIndex
    at: float
    running: list[RunningJob]
    over: list[RunningJob] = field(default_factory=list)
    dependants: dict[int, list[int]] = field(default_factory=dict)


def forecast(view: ClusterView, queue: QueueIndex, policy: Policy, now: float, job_id: int) -> Forecast | None:
    """Play the limits forward until the job starts; None when that is unknown or too far away."""
    future = _Future(view, queue.copy(), now, list(view.running), dependants=_dependants(queue))
    for _ in range(MAX_STEPS):
        starts = plan(replace(view, running=tuple(future.running)), future.queue, policy, future.at).starts
        mine = next((start for start in starts if start.job_id == job_id), None)
        if mine is not None:
            return _forecast(future, mine)
        _begin(future, starts)
        if not _advance(future):
            return None
    return None


def _forecast(future: _Future, start: Start) -> Forecast:
    first = {job.id for job in future.view.running}
    ended = [job.id for job in future.over if job.id in first and job.node == start.node]
    after_others = any(job.id not in first for job in future.over)
    return Forecast(future.at, start.node, tuple(sorted(ended)), after_others)


def _begin(future: _Future, starts: Iterable[Start]) -> None:
    for start in starts:
        job = future.queue.remove(start.job_id)
        ends_at = None if job.limit_s is None else future.at + job.limit_s
        future.running.append(RunningJob(job.id, start.node, start.gpus, job.cpus, job.mem_bytes, ends_at))


def _advance(future: _Future) -> bool:
    """Move on to the next end; False when no end is known."""
    ends = [job.ends_at for job in future.running if job.ends_at is not None]
    if not ends:
        return False
    # A job past its limit is about to be stopped: its end is due now.
    future.at = max(future.at, min(ends))
    over: list[RunningJob] = []
    running: list[RunningJob] = []
    for job in future.running:
        (over if job.ends_at is not None and job.ends_at <= future.at else running).append(job)
    future.running, future.over = running, future.over + over
    for job in over:
        _release(future, job.id)
    return True


def _release(future: _Future, ended_id: int) -> None:
    for waiting_id in future.dependants.get(ended_id, ()):
        waiting = future.queue.get(waiting_id)
        if waiting is not None:
            left = tuple(other for other in waiting.waits_for if other != ended_id)
            future.queue.replace(replace(waiting, waits_for=left))


def _dependants(queue: Iterable[QueuedJob]) -> dict[int, list[int]]:
    dependants: dict[int, list[int]] = {}
    for job in queue:
        for other in job.waits_for:
            dependants.setdefault(other, []).append(job.id)
    return dependants
