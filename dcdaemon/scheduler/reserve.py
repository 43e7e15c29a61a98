"""What is kept for jobs that have to wait, and what that forbids the others (after EASY backfill, Lifka 1995)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from typing import NamedTuple

from dcdaemon.core.plan import Part, Reservation
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.bookings import opens_at, shut_gpus
from dcdaemon.scheduler.gang import gang_of
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.shape import NOTHING, Lack, Shape, missing
from dcdaemon.scheduler.space import Hold, NodeSpace, ends_of

#: A promised job keeps its GPUs unless others are free in that share of the time.
MUCH_SOONER = 1 / 3


@dataclass(slots=True)
class Kept:
    """What one node keeps for a job: `spare_*` is what it has left over when the job starts.

    `at` is when that is by predictions, `latest_at` by limits; both are infinity, and `short_of` is not nothing, where
    no known end brings enough.
    """

    node: NodeSpace
    at: float
    latest_at: float
    pinned: frozenset[int]
    spare_cpus: int
    spare_mem_bytes: int
    short_of: Lack

    @property
    def rank(self) -> tuple[float, Lack, int, int]:
        """The earlier start is the better one, then what lacks least, then what keeps fewest free GPUs idle."""
        return (self.at, self.short_of, len(self.pinned.intersection(self.node.free)), self.node.position)


@dataclass(slots=True)
class Guard:
    """Keeps one waiting job's start safe on the nodes kept for it, by their position: one, or a gang's."""

    reservation: Reservation
    at: float
    kept: dict[int, Kept]

    def lets_in(self, shape: Shape, now: float, safety: float | None) -> bool:
        """Say whether a job of this shape, started now, is over before the start; a promise is risked on no guess."""
        if self.at == math.inf:
            return False
        if shape.limit_s is not None and now + shape.limit_s <= self.at:
            return True
        if self.reservation.promised or safety is None or shape.predicted_s is None:
            return False
        return now + safety * shape.predicted_s <= self.at


@dataclass(slots=True)
class Guards:
    """All that is kept in one pass."""

    policy: Policy
    now: float
    all: list[Guard] = field(default_factory=list)
    #: When the last job on a node is thought to end, by the node's position.
    ends: dict[int, float] = field(default_factory=dict)
    on: dict[int, list[tuple[Guard, Kept]]] = field(default_factory=dict)

    def add(self, guard: Guard) -> None:
        """Keep this from now on."""
        self.all.append(guard)
        for position, kept in guard.kept.items():
            self.on.setdefault(position, []).append((guard, kept))

    def last_end(self, node: NodeSpace) -> float:
        """Return when the last job on a node is thought to end."""
        known = self.ends.get(node.position)
        if known is None:
            known = self.ends[node.position] = node.last_end(self.now)
        return known

    def pinned_on(self, position: int) -> frozenset[int]:
        """Return the GPUs of this node that somebody counts on."""
        return frozenset().union(*(kept.pinned for _, kept in self.on.get(position, ())))

    def open_gpus(self, shape: Shape, node: NodeSpace, gpus: Iterable[int] | None = None) -> list[int] | None:
        """Return which of these GPUs the shape may use on a node, those nobody counts on first; None for no way.

        Unless it is said which, of the free ones.
        """
        barred: set[int] = set()
        for guard, kept in self.on[node.position]:
            if guard.lets_in(shape, self.now, self.policy.safety):
                continue
            if missing(shape, shape.gpus, kept.spare_cpus, kept.spare_mem_bytes) != NOTHING:
                return None
            barred |= kept.pinned
        pinned = self.pinned_on(node.position)
        offered = node.free if gpus is None else gpus
        return sorted((gpu for gpu in offered if gpu not in barred), key=pinned.__contains__)

    def barring(self, shape: Shape, node: NodeSpace) -> Guard | None:
        """Return the first guard that keeps the shape off what it counts on of a node, None when none does."""
        on_node = (guard for guard, _ in self.on.get(node.position, ()))
        return next((guard for guard in on_node if not guard.lets_in(shape, self.now, self.policy.safety)), None)

    def note(self, share: Shape, nodes: Iterable[NodeSpace]) -> None:
        """Take what a job that outlasts a start uses of these nodes off what they have to spare."""
        for node in nodes:
            for guard, kept in self.on.get(node.position, ()):
                if not guard.lets_in(share, self.now, self.policy.safety):
                    kept.spare_cpus -= share.cpus
                    kept.spare_mem_bytes -= share.mem_bytes


class Room(NamedTuple):
    """What a node has for a job beside those that it is kept for already."""

    node: NodeSpace
    usable: int
    free: list[int]
    cpus: int
    mem_bytes: int
    holds: list[Hold]
    barred: frozenset[int] = frozenset()

    @property
    def open_gpus(self) -> frozenset[int]:
        """The GPUs that take work and are not kept for others."""
        return self.node.usable - self.barred

    def ends(self, now: float) -> Sequence[tuple[float, Hold]]:
        """Return when what is held here is thought to be free, the first one first."""
        return self.node.ends(now) if self.holds is self.node.holds else ends_of(self.holds, now)


class Terms(NamedTuple):
    """On what terms something is kept: see Reservation; `before` is what the plan before kept for the job."""

    sticky: bool = False
    promised: bool = False
    before: Reservation | None = None


ORDINARY = Terms()


def reserve(
    job: QueuedJob,
    nodes: Sequence[NodeSpace],
    guards: Guards,
    terms: Terms = ORDINARY,
) -> Guard | None:
    """Return the earliest start there is for the job, None where those kept for others leave it none.

    Where endless jobs are in the way everywhere, the node that lacks least is kept: what becomes free there stays
    free, so the job comes closer with every end and cannot starve. For a share of a GPU a whole one is kept: which
    jobs will share it then is not known.
    """
    shape, now = Shape.of(job), guards.now
    nodes = [node.meant_for(shape) for node in nodes]
    rooms = [room for room in (_room(node, guards) for node in nodes) if room is not None]
    gang = gang_of(shape, nodes, guards.policy)
    if gang is None:
        chosen = _best(1, [(shape, room) for room in rooms if _can_hold(room, shape)], now)
    else:
        able = [(gang.on(room.node), room) for room in rooms if _can_hold(room, gang.on(room.node))]
        chosen = _best(gang.nodes, [(share, room) for share, room in able if room.node.can_hold(gang.share)], now)
    # Where no end was known, not all that is needed was promised yet.
    known = terms.before is not None and (terms.before.expected_at or terms.before.at) is not None
    share = shape if gang is None else gang.share
    before = _again(terms.before, share, rooms, now) if terms.before is not None and known else None
    if before is not None and not _much_sooner(chosen, before, now):
        chosen = before
    return _guard(job, chosen, terms) if chosen else None


def _room(node: NodeSpace, guards: Guards) -> Room | None:
    """Return what the node has beside what is kept there; None when that is nothing."""
    holds = _last_sharers(node.holds, guards.now) if node.shared.on else node.holds
    if node.position not in guards.on:
        return Room(node, len(node.usable), node.idle, node.cpus, node.mem_bytes, holds)
    barred = guards.pinned_on(node.position)
    spare_cpus = min(kept.spare_cpus for _, kept in guards.on[node.position])
    spare_mem_bytes = min(kept.spare_mem_bytes for _, kept in guards.on[node.position])
    if barred >= node.usable:
        return None
    free = [gpu for gpu in node.idle if gpu not in barred]
    beside = [_beside(hold, barred) for hold in holds]
    return Room(node, len(node.usable - barred), free, spare_cpus, spare_mem_bytes, beside, barred)


def _last_sharers(holds: Iterable[Hold], now: float) -> list[Hold]:
    """Return the holds with each shared GPU at the one job that is the last to leave it."""
    last = {
        gpu: hold
        for hold in sorted(
            (hold for hold in holds if hold.gpu_mem_bytes is not None), key=lambda h: h.expected_end(now)
        )
        for gpu in hold.gpus
    }
    return [
        hold
        if hold.gpu_mem_bytes is None
        else replace(hold, gpus=tuple(gpu for gpu in hold.gpus if last[gpu] is hold), gpu_mem_bytes=None)
        for hold in holds
    ]


def _beside(hold: Hold, barred: frozenset[int]) -> Hold:
    """Return what a job's end brings to somebody who counts on none of these GPUs; CPUs are spoken for already."""
    gpus = tuple(gpu for gpu in hold.gpus if gpu not in barred)
    return Hold(hold.job_id, gpus, 0, 0, hold.ends_at, hold.started_at, hold.predicted_s, None, hold.expected_s)


def _can_hold(room: Room, shape: Shape) -> bool:
    return room.usable >= shape.gpus and room.node.can_hold(shape)


def _best(count: int, places: Sequence[tuple[Shape, Room]], now: float) -> list[Kept]:
    """Return the so many best offers, none when there are fewer; in full only the early enough are worked out."""
    if len(places) < count:
        return []
    times = [_earliest(shape, room, now) for shape, room in places]
    latest = nsmallest(count, times)[-1]
    early = [_offer(*place, at, now) for place, at in zip(places, times, strict=True) if at <= latest]
    return nsmallest(count, early, key=lambda kept: kept.rank)


def _again(before: Reservation, share: Shape, rooms: Sequence[Room], now: float) -> list[Kept] | None:
    """Return what was kept as it stands now; None when it is not all there any more.

    What was promised stays on its very GPUs. Otherwise the nodes stay, and on them the GPUs that are free first: of the
    jobs there some end sooner and some later than was thought.
    """
    room_of = {room.node.name: room for room in rooms}
    kept: list[Kept] = []
    for name, gpus in before.parts:
        room = room_of.get(name)
        shape = share._replace(gpus=len(gpus))
        if room is None or not room.open_gpus.issuperset(gpus) or not _can_hold(room, shape):
            return None
        at = _earliest(shape, room, now)
        firm = before.promised or at == math.inf
        kept.append(_pinned(shape, room, frozenset(gpus), now) if firm else _offer(shape, room, at, now))
    return kept


def _pinned(shape: Shape, room: Room, pinned: frozenset[int], now: float) -> Kept:
    """Return when exactly these GPUs, and CPUs and memory beside them, are free."""
    ends = [hold for hold in room.holds if pinned.intersection(hold.gpus)]
    at = max((hold.expected_end(now) for hold in ends), default=now)
    at = max(at, _earliest(shape._replace(gpus=0), room, now))
    at = opens_at(room.node.closures, pinned, at, shape.longest_s)
    return _offer(shape, room, at, now, pinned)


def _much_sooner(chosen: Sequence[Kept], before: Sequence[Kept], now: float) -> bool:
    if not chosen:
        return False
    at, kept_at = max(kept.at for kept in chosen), max(kept.at for kept in before)
    # What limits have promised is not put off for a guess.
    is_safe = max(kept.latest_at for kept in chosen) <= max(kept.latest_at for kept in before)
    return is_safe and at < kept_at and at - now <= MUCH_SOONER * (kept_at - now)


def _guard(job: QueuedJob, chosen: Sequence[Kept], terms: Terms) -> Guard:
    first, *others = [Part(kept.node.name, tuple(sorted(kept.pinned))) for kept in chosen]
    # A gang starts when the last of its nodes is free.
    at, latest_at = max(kept.at for kept in chosen), max(kept.latest_at for kept in chosen)
    expected_at = _known(at) if at < latest_at else None
    # Where limits tell the time, nobody has to guess, and nobody may.
    promised = terms.sticky and (terms.promised or latest_at < math.inf)
    reservation = Reservation(job.id, *first, _known(latest_at), tuple(others), expected_at, promised, terms.sticky)
    return Guard(reservation, at, {kept.node.position: kept for kept in chosen})


def _known(at: float) -> float | None:
    return at if at < math.inf else None


def _offer(shape: Shape, room: Room, at: float, now: float, pinned: frozenset[int] | None = None) -> Kept:
    """Return what this node can promise a job that takes this of it."""
    ended = [hold for hold in room.holds if (end := hold.expected_end(now)) <= at and end < math.inf]
    # GPUs that are busy until then first: so the fewest free ones lie idle for the job.
    promised = [gpu for hold in ended for gpu in hold.gpus] + room.free
    if room.node.closures:
        shut = shut_gpus(room.node.closures, at, shape.longest_s)
        promised = [gpu for gpu in promised if gpu not in shut]
    cpus = room.cpus + sum(hold.cpus for hold in ended)
    mem_bytes = room.mem_bytes + sum(hold.mem_bytes for hold in ended)
    chosen = frozenset(promised[: shape.gpus]) if pinned is None else pinned
    latest_at = opens_at(room.node.closures, chosen, _latest(shape, room, chosen, now), shape.longest_s)
    return Kept(
        node=room.node,
        at=at,
        latest_at=latest_at if at < math.inf else math.inf,
        pinned=chosen,
        spare_cpus=max(0, cpus - shape.cpus),
        spare_mem_bytes=max(0, mem_bytes - shape.mem_bytes),
        short_of=missing(shape, len(promised), cpus, mem_bytes),
    )


def _latest(shape: Shape, room: Room, pinned: frozenset[int], now: float) -> float:
    """Return when these GPUs, and CPUs and memory beside them, are free if every job there runs to its limit."""
    latest_at = max((hold.ends_at for hold in room.holds if not pinned.isdisjoint(hold.gpus)), default=now)
    beside, cpus, mem_bytes = shape._replace(gpus=0), room.cpus, room.mem_bytes
    for hold in room.holds:
        if missing(beside, 0, cpus, mem_bytes) == NOTHING:
            break
        cpus, mem_bytes, latest_at = cpus + hold.cpus, mem_bytes + hold.mem_bytes, max(latest_at, hold.ends_at)
    return max(now, latest_at)


def _earliest(shape: Shape, room: Room, now: float) -> float:
    """Return when running jobs leave enough on the node, as far as is known; infinity when nothing is."""
    if room.node.closures:
        return _earliest_beside(shape, room, now)
    gpus, cpus, mem_bytes = len(room.free), room.cpus, room.mem_bytes
    # A gang's node may be free already, while others are not.
    if gpus >= shape.gpus and missing(shape, gpus, cpus, mem_bytes) == NOTHING:
        return now
    for end, hold in room.ends(now):
        if end == math.inf:
            break
        gpus, cpus, mem_bytes = gpus + len(hold.gpus), cpus + hold.cpus, mem_bytes + hold.mem_bytes
        if gpus >= shape.gpus and missing(shape, gpus, cpus, mem_bytes) == NOTHING:
            # A job past its limit is about to be stopped: its end is due now.
            return max(now, end)
    return math.inf


def _earliest_beside(shape: Shape, room: Room, now: float) -> float:
    """Return the same beside bookings: what is free at one time may be closed at a later one, so each is tried."""
    ends = [hold.expected_end(now) for hold in room.holds] + [closure.booking.ends_at for closure in room.node.closures]
    times = sorted({max(now, end) for end in (now, *ends) if end < math.inf})
    return next((at for at in times if _offer(shape, room, at, now).short_of == NOTHING), math.inf)
