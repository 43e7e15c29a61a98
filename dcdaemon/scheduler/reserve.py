"""The reservation of the job at the head, and what it forbids the jobs behind (EASY backfill, Lifka 1995)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from dcdaemon.core.plan import Part, Reservation
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.gang import gang_of
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.shape import NOTHING, Lack, Shape, missing
from dcdaemon.scheduler.space import NodeSpace


@dataclass(slots=True)
class Kept:
    """What one node keeps for the head: `spare_*` is what it has left over when the head starts.

    `at` is None and `short_of` not nothing where no known end brings enough.
    """

    node: NodeSpace
    at: float | None
    pinned: frozenset[int]
    spare_cpus: int
    spare_mem_bytes: int
    short_of: Lack

    @property
    def rank(self) -> tuple[float, Lack, int, int]:
        """The earlier start is the better one, then what lacks least, then what keeps fewest free GPUs idle."""
        at = math.inf if self.at is None else self.at
        return (at, self.short_of, len(self.pinned.intersection(self.node.free)), self.node.position)


@dataclass(slots=True)
class Guard:
    """Keeps the head's start safe on the nodes kept for it, by their position: one, or a gang's."""

    reservation: Reservation
    now: float
    kept: dict[int, Kept]

    def ends_in_time(self, shape: Shape) -> bool:
        """Say whether a job of this shape, started now, is over before the head starts."""
        at = self.reservation.at
        return at is not None and shape.limit_s is not None and self.now + shape.limit_s <= at

    def open_gpus(self, shape: Shape, kept: Kept) -> list[int] | None:
        """Return the free GPUs the shape may use on a kept node, unpinned first; None for no way."""
        unpinned = [gpu for gpu in kept.node.free if gpu not in kept.pinned]
        if self.ends_in_time(shape):
            return unpinned + [gpu for gpu in kept.node.free if gpu in kept.pinned]
        if missing(shape, shape.gpus, kept.spare_cpus, kept.spare_mem_bytes) != NOTHING:
            return None
        return unpinned

    def note(self, share: Shape, nodes: Iterable[NodeSpace]) -> None:
        """Take what a job that outlasts the head's start uses of these nodes off what they have to spare."""
        if self.ends_in_time(share):
            return
        for node in nodes:
            kept = self.kept.get(node.position)
            if kept is not None:
                kept.spare_cpus -= share.cpus
                kept.spare_mem_bytes -= share.mem_bytes


def reserve(job: QueuedJob, nodes: Sequence[NodeSpace], policy: Policy, now: float) -> Guard:
    """Return the earliest start that running jobs' limits promise; the nodes must be able to hold the job.

    Where endless jobs are in the way everywhere, the node that lacks least is kept: what becomes free there
    stays free, so the job comes closer with every end and cannot starve.
    """
    shape = Shape.of(job)
    gang = gang_of(shape, nodes, policy)
    if gang is None:
        return _guard(job, _best(1, [(shape, node) for node in nodes if node.can_hold(shape)], now), now)
    return _guard(job, _best(gang.nodes, [(gang.on(n), n) for n in nodes if n.can_hold(gang.share)], now), now)


def _best(count: int, places: Sequence[tuple[Shape, NodeSpace]], now: float) -> list[Kept]:
    """Return the so many best offers; in full only those are worked out that are early enough."""
    times = [_earliest(shape, node, now) for shape, node in places]
    latest = nsmallest(count, times)[-1]
    early = [_offer(*place, at) for place, at in zip(places, times, strict=True) if at <= latest]
    return nsmallest(count, early, key=lambda kept: kept.rank)


def _guard(job: QueuedJob, chosen: Sequence[Kept], now: float) -> Guard:
    times = [kept.at for kept in chosen if kept.at is not None]
    first, *others = [Part(kept.node.name, tuple(sorted(kept.pinned))) for kept in chosen]
    return Guard(
        # A gang starts when the last of its nodes is free.
        Reservation(job.id, *first, max(times) if len(times) == len(chosen) else None, tuple(others)),
        now,
        {kept.node.position: kept for kept in chosen},
    )


def _offer(shape: Shape, node: NodeSpace, at: float) -> Kept:
    """Return what this node can promise a job that takes this of it."""
    ended = [hold for hold in node.holds if hold.ends_at <= at and hold.ends_at < math.inf]
    # GPUs that are busy until then first: so the fewest free ones lie idle for the head.
    promised = [gpu for hold in ended for gpu in hold.gpus] + node.free
    cpus = node.cpus + sum(hold.cpus for hold in ended)
    mem_bytes = node.mem_bytes + sum(hold.mem_bytes for hold in ended)
    return Kept(
        node=node,
        at=at if at < math.inf else None,
        pinned=frozenset(promised[: shape.gpus]),
        spare_cpus=max(0, cpus - shape.cpus),
        spare_mem_bytes=max(0, mem_bytes - shape.mem_bytes),
        short_of=missing(shape, len(promised), cpus, mem_bytes),
    )


def _earliest(shape: Shape, node: NodeSpace, now: float) -> float:
    """Return when running jobs leave enough on the node, by their limits; infinity when that is unknown."""
    # A gang's node may be free already, while others are not.
    if node.has_room(shape):
        return now
    gpus, cpus, mem_bytes = len(node.free), node.cpus, node.mem_bytes
    for hold in node.holds:
        if hold.ends_at == math.inf:
            break
        gpus, cpus, mem_bytes = gpus + len(hold.gpus), cpus + hold.cpus, mem_bytes + hold.mem_bytes
        if gpus >= shape.gpus and missing(shape, gpus, cpus, mem_bytes) == NOTHING:
            # A job past its limit is about to be stopped: its end is due now.
            return max(now, hold.ends_at)
    return math.inf
