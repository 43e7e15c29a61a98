"""The reservation of the job at the head, and what it forbids the jobs behind (EASY backfill, Lifka 1995)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dcdaemon.core.plan import Reservation
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.shape import NOTHING, Lack, Shape, missing
from dcdaemon.scheduler.space import Hold, NodeSpace


@dataclass(slots=True)
class Guard:
    """Keeps the head's start safe: `spare_*` is what the reserved node has left over when the head starts.

    `short_of` is what no known end will bring: with it the start cannot be foretold.
    """

    reservation: Reservation
    now: float
    node: NodeSpace
    pinned: frozenset[int]
    spare_cpus: int
    spare_mem_bytes: int
    short_of: Lack

    def ends_in_time(self, shape: Shape) -> bool:
        """Say whether a job of this shape, started now, is over before the head starts."""
        at = self.reservation.at
        return at is not None and shape.limit_s is not None and self.now + shape.limit_s <= at

    def open_gpus(self, shape: Shape) -> list[int] | None:
        """Return the free GPUs the shape may use on the reserved node, unpinned first; None for no way."""
        unpinned = [gpu for gpu in self.node.free if gpu not in self.pinned]
        if self.ends_in_time(shape):
            return unpinned + [gpu for gpu in self.node.free if gpu in self.pinned]
        if missing(shape, shape.gpus, self.spare_cpus, self.spare_mem_bytes) != NOTHING:
            return None
        return unpinned

    def note(self, shape: Shape, node: NodeSpace) -> None:
        """Take what a job that outlasts the head's start uses off the spare."""
        if node is not self.node or self.ends_in_time(shape):
            return
        self.spare_cpus -= shape.cpus
        self.spare_mem_bytes -= shape.mem_bytes


def reserve(job: QueuedJob, nodes: Iterable[NodeSpace], now: float) -> Guard:
    """Return the earliest start that running jobs' limits promise; some node must be able to hold the job.

    Where endless jobs are in the way everywhere, the node that lacks least is kept: what becomes free there
    stays free, so the job comes closer with every end and cannot starve.
    """
    shape = Shape.of(job)
    return min((_offer(job, shape, node, now) for node in nodes if node.can_hold(shape)), key=_rank)


def _rank(guard: Guard) -> tuple[float, Lack, int, int]:
    at = math.inf if guard.reservation.at is None else guard.reservation.at
    return (at, guard.short_of, len(guard.pinned.intersection(guard.node.free)), guard.node.position)


def _offer(job: QueuedJob, shape: Shape, node: NodeSpace, now: float) -> Guard:
    """Return what this node can promise the job."""
    coming = sorted((hold for hold in node.holds if hold.ends_at < math.inf), key=lambda hold: hold.ends_at)
    at = _earliest(shape, node, coming, now)
    ended = [hold for hold in coming if at is None or hold.ends_at <= at]
    # GPUs that are busy until then first: so the fewest free ones lie idle for the head.
    promised = [gpu for hold in ended for gpu in hold.gpus] + node.free
    cpus = node.cpus + sum(hold.cpus for hold in ended)
    mem_bytes = node.mem_bytes + sum(hold.mem_bytes for hold in ended)
    pinned = promised[: shape.gpus]
    return Guard(
        reservation=Reservation(job.id, node.name, tuple(sorted(pinned)), at),
        now=now,
        node=node,
        pinned=frozenset(pinned),
        spare_cpus=max(0, cpus - shape.cpus),
        spare_mem_bytes=max(0, mem_bytes - shape.mem_bytes),
        short_of=missing(shape, len(promised), cpus, mem_bytes),
    )


def _earliest(shape: Shape, node: NodeSpace, coming: Iterable[Hold], now: float) -> float | None:
    gpus, cpus, mem_bytes = len(node.free), node.cpus, node.mem_bytes
    for hold in coming:
        gpus, cpus, mem_bytes = gpus + len(hold.gpus), cpus + hold.cpus, mem_bytes + hold.mem_bytes
        if missing(shape, gpus, cpus, mem_bytes) == NOTHING:
            # A job past its limit is about to be stopped: its end is due now.
            return max(now, hold.ends_at)
    return None
