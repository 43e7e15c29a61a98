"""The work before a job: what waits and what runs, as shares of the whole cluster, kept up from event to event."""

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from heapq import merge
from itertools import islice
from typing import NamedTuple

from dcdaemon.core.view import NodeView, QueuedJob
from dcdaemon.scheduler.backlog import Capacity
from dcdaemon.scheduler.capacity import instances_of, whole_of
from dcdaemon.scheduler.order import lasting_s, length_class, score, typical_s
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.space import SOON_S

#: Sums of shares are no more exact than this.
ROUNDING = 1e-9
#: Jobs that are due within the same stretch of time are not told apart where deadlines decide.
_DUE_S = 900.0
#: Jobs are grouped by their length in quarters of an octave, so many taken together.
_QUARTERS = 2


class Kind(NamedTuple):
    """What the jobs of a group share as far as who goes first is concerned."""

    priority: int
    queue: str
    length: int
    gpus: int
    #: Until when it is to be done where deadlines decide, roughly; infinity without a deadline.
    due_at: float = math.inf

    @classmethod
    def of(cls, job: QueuedJob, policy: Policy) -> "Kind":
        """Return the kind of a job."""
        length = length_class(lasting_s(job)) // _QUARTERS * _QUARTERS
        due_at = math.inf
        if job.deadline_at is not None and policy.order_in(job.queue) is Order.DEADLINE:
            due_at = job.deadline_at // _DUE_S * _DUE_S
        return cls(job.priority, job.queue, length, job.gpus, due_at)


class Before(NamedTuple):
    """What goes before a job: how many jobs, and the seconds that the whole cluster has work for with them."""

    jobs: int
    work_s: float


class _Waiting(NamedTuple):
    kind: Kind
    work_s: float
    queued_at: float


class _Running(NamedTuple):
    ends_at: float
    job_id: int
    share: float
    began: float


class _Sum:
    """A group's jobs together."""

    __slots__ = ("due_at", "gpus", "is_shortest", "jobs", "queued_at", "run_s", "tier", "work_s")

    def __init__(self, kind: Kind, policy: Policy) -> None:
        self.tier = _tier(kind, policy)
        self.is_shortest = policy.order_in(kind.queue) is Order.SHORTEST
        self.run_s, self.gpus, self.due_at = typical_s(kind.length), kind.gpus, kind.due_at
        self.jobs, self.work_s, self.queued_at = 0, 0.0, 0.0

    def add(self, job: _Waiting, sign: int) -> None:
        """Count a job in, or out with a sign of -1."""
        self.jobs += sign
        self.work_s += sign * job.work_s
        self.queued_at += sign * job.queued_at


class Work:
    """Asked for one job it costs as much as there are kinds of waiting jobs and running jobs, however many wait."""

    def __init__(self, nodes: Iterable[NodeView], policy: Policy) -> None:
        """Begin with nothing to do on these nodes."""
        nodes = tuple(nodes)
        self._policy = policy
        whole = [len(whole_of(node)) for node in nodes]
        self._node_gpus = max(whole, default=0)
        self._capacity = Capacity(
            sum(whole), sum(node.cpus for node in nodes), sum(node.mem_bytes for node in nodes),
            sum(map(instances_of, nodes)),
        )  # fmt: skip
        self._waiting: dict[int, _Waiting] = {}
        self._sums: dict[Kind, _Sum] = {}
        self._running: dict[int, _Running] = {}
        #: The same in the order of their expected ends, and what they hold together.
        self._ends: list[_Running] = []
        self._held = 0.0
        #: What waiting jobs will take and how long they are thought to run, for when they start.
        self._takes: dict[int, tuple[float, float]] = {}

    @property
    def free(self) -> float:
        """How much of the cluster nobody holds."""
        return 1.0 - self._held

    def share(self, job: QueuedJob) -> float:
        """Return how much of the cluster a job takes, infinity when there is none of what it asks for."""
        width, is_part = self._width(job.gpus), job.gpu_mem_bytes is not None
        return self._capacity.share(width, job.cpus, job.mem_bytes, is_part=is_part)

    def nodes_taken(self, job: QueuedJob) -> float:
        """Return how many nodes' GPUs a job takes, a part of one for less."""
        return self._width(job.gpus) / self._node_gpus if self._node_gpus else 0.0

    def kind_of(self, job: QueuedJob) -> Kind:
        """Return what the job shares with others that go first, or after, as it does."""
        return Kind.of(job, self._policy)

    def queued(self, job: QueuedJob, expected_s: float) -> None:
        """Note a job that waits for nothing but room; once more when it changes."""
        self.left(job.id)
        share = min(self.share(job), 1.0)
        waiting = _Waiting(self.kind_of(job), share * expected_s, job.queued_at)
        self._waiting[job.id] = waiting
        self._takes[job.id] = (share, expected_s)
        if waiting.kind not in self._sums:
            self._sums[waiting.kind] = _Sum(waiting.kind, self._policy)
        self._sums[waiting.kind].add(waiting, 1)

    def left(self, job_id: int) -> None:
        """Note that a job waits no more, and does not run."""
        self._takes.pop(job_id, None)
        self._out_of_line(job_id)
        run = self._running.pop(job_id, None)
        if run is not None:
            del self._ends[bisect_left(self._ends, run)]
            self._held = self._held - run.share if self._running else 0.0

    def started(self, job_id: int, at: float) -> None:
        """Note a job that runs."""
        taken = self._takes.pop(job_id, None)
        if taken is not None:
            self._out_of_line(job_id)
            share, expected_s = taken
            run = self._running[job_id] = _Running(at + expected_s, job_id, share, at)
            insort(self._ends, run)
            self._held += share

    def before(self, job: QueuedJob, now: float) -> Before:
        """Return what would go first if the pass were made now; jobs of a group are as old as they are in the mean."""
        jobs, work_s, mine = 0, 0.0, self.kind_of(job)
        my_score, my_tier = score(typical_s(mine.length), mine.gpus, now - job.queued_at), _tier(mine, self._policy)
        for one in self._sums.values():
            if one.tier < my_tier or (one.tier == my_tier and one.due_at > mine.due_at):
                continue
            if one.tier == my_tier and one.is_shortest:
                waited_s = now - one.queued_at / one.jobs
                if score(one.run_s, one.gpus, waited_s) > my_score:
                    continue
            jobs, work_s = jobs + one.jobs, work_s + one.work_s
        return Before(jobs, work_s)

    def drain_s(self, share: float, kept_gpus: int, now: float) -> float:
        """Return how long it takes until so much of the cluster is free beside what is kept for others.

        Runs last as long as expected, and once past that as long again.
        """
        free = self.free - self._capacity.share(kept_gpus, 0, 0, is_part=True)
        wait_s = 0.0
        overdue = bisect_left(self._ends, (now + ROUNDING,))
        late = sorted((max(SOON_S, now - run.began), run.share) for run in self._ends[:overdue])
        in_time = ((run.ends_at - now, run.share) for run in islice(self._ends, overdue, None))
        for left_s, freed in merge(late, in_time):
            if free >= share - ROUNDING:
                break
            wait_s, free = left_s, free + freed
        return wait_s

    def _width(self, gpus: int) -> int:
        return gpus if gpus <= self._node_gpus or not self._node_gpus else -(-gpus // self._node_gpus) * self._node_gpus

    def _out_of_line(self, job_id: int) -> None:
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            return
        one = self._sums[waiting.kind]
        one.add(waiting, -1)
        if not one.jobs:
            del self._sums[waiting.kind]


def _tier(kind: Kind, policy: Policy) -> int:
    return kind.priority * 1000 + policy.tier_of(kind.queue)
