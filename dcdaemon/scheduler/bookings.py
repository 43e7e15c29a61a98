"""What bookings close to whom: before its window a booking is a date to be kept, inside it is a cluster of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dcdaemon.core.booking import Booking
from dcdaemon.core.view import GpuSlot, QueuedJob
from dcdaemon.scheduler.instances import within
from dcdaemon.scheduler.space import Closure, NodeSpace


class Closed:
    """What bookings close to some jobs, by node; two of them are equal when they are the same one."""

    def __init__(self, closures: Iterable[Closure]) -> None:
        self._on: dict[str, tuple[Closure, ...]] = {}
        for closure in closures:
            node = closure.booking.node
            self._on[node] = (*self._on.get(node, ()), closure)

    def seen(self, node: NodeSpace, now: float, longest_s: float) -> NodeSpace:
        """Return the node as it is for a job that would run so long; to look at, not to take from.

        Free GPUs that are booked for later come last, so that they stay free where others do as well.
        """
        closures = self._on.get(node.name)
        if closures is None:
            return node
        closures = tuple(_with_instances(closure, node) for closure in closures)
        shut = shut_gpus(closures, now, longest_s)
        later = {gpu for closure in closures for gpu in closure.booking.gpus}
        free = sorted((gpu for gpu in node.free if gpu not in shut), key=lambda gpu: (gpu in later, gpu))
        open_instances = [number for number in node.free_instances if number not in shut]
        unheld = tuple(gpu for gpu in (*node.free, *node.free_instances) if gpu in shut)
        return replace(node, free=free, shut=unheld, closures=closures, barred=shut, free_instances=open_instances)


class Windows:
    """The bookings of one pass. While one is open, its GPUs are given in a pass of their own, and in no other."""

    def __init__(self, bookings: Iterable[Booking] = (), now: float = 0.0) -> None:
        self._standing = sorted((one for one in bookings if one.ends_at > now), key=lambda one: (one.from_at, one.id))
        self.open = tuple(booking for booking in self._standing if booking.is_open(now))
        self._closed: dict[tuple[str, str, int], Closed | None] = {}
        self._alike: dict[tuple[Closure, ...], Closed | None] = {(): None}

    def closed_to(self, job: QueuedJob, inside: Booking | None = None) -> Closed | None:
        """Return what is closed to the job's owner, inside of this window or outside of all; None when nothing is."""
        if not self._standing or not job.gpus:
            return None
        key = (job.user, job.account, inside.id if inside else 0)
        if key not in self._closed:
            others = [booking for booking in self._standing if booking is not inside]
            closures = tuple(Closure(booking, booking.admits(job.user, job.account)) for booking in others)
            if closures not in self._alike:
                self._alike[closures] = Closed(closures)
            self._closed[key] = self._alike[closures]
        return self._closed[key]


def _with_instances(closure: Closure, node: NodeSpace) -> Closure:
    """Return the closure with the instances of the GPUs that are booked, too."""
    booked = tuple(number for number in node.instances if within(number, closure.booking.gpus))
    if not booked:
        return closure
    return closure._replace(booking=replace(closure.booking, gpus=(*closure.booking.gpus, *booked)))


def shut_gpus(closures: Iterable[Closure], at: float, longest_s: float) -> frozenset[int]:
    """Return the GPUs that a job which runs so long cannot start on at this time."""
    return frozenset(gpu for one in closures if one.bars(at, longest_s) for gpu in one.booking.gpus)


def opens_at(closures: Sequence[Closure], gpus: Iterable[int], at: float, longest_s: float) -> float:
    """Return the first time from `at` on at which a job that runs so long can have all these GPUs."""
    if not closures:
        return at
    wanted = frozenset(gpus)
    while True:
        bars = [one.booking for one in closures if one.bars(at, longest_s)]
        ends = [booking.ends_at for booking in bars if not wanted.isdisjoint(booking.gpus)]
        if not ends:
            return at
        at = max(ends)


def choose_gpus(slots: Iterable[GpuSlot], busy_until: Mapping[int, float], from_at: float, count: int) -> list[int]:
    """Return so many of these GPUs for a window that begins then, fewer when there are no more.

    Those come first that are whole, free by then, and work; then the last ones, as jobs are given the first.
    """

    def cost(slot: GpuSlot) -> tuple[bool, bool, bool, int]:
        is_cut = slot.instances is not None
        return is_cut, busy_until.get(slot.index, from_at) > from_at, slot.blocked is not None, -slot.index

    return sorted(slot.index for slot in sorted(slots, key=cost)[:count])
