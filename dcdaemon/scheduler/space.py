"""What is free on each node while one pass hands it out."""

import math
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple, Self

from dcdaemon.core.booking import Booking
from dcdaemon.core.view import ClusterView, NodeView, RunningJob
from dcdaemon.scheduler.instances import number_of, open_instances, within
from dcdaemon.scheduler.shape import Lack, Shape, missing
from dcdaemon.scheduler.shares import Share, SharedGpus

#: A job past its prediction is not counted on to end sooner.
SOON_S = 60.0
#: The end of a job that was asked to end; what is past is due now.
DUE_NOW = 0.0


@dataclass(slots=True)
class Hold:
    """What one job holds on a node and when it gives it back at the latest; infinity when endless.

    With `gpu_mem_bytes` it holds that much of its GPU, which others may share, or all of its MIG instance.
    """

    job_id: int
    gpus: tuple[int, ...]
    cpus: int
    mem_bytes: int
    ends_at: float
    started_at: float | None = None
    predicted_s: float | None = None
    gpu_mem_bytes: int | None = None
    #: What jobs of this prediction run in the mean; learned anew from pass to pass.
    expected_s: float | None = None

    def expected_end(self, now: float) -> float:
        """Return when the job is thought to end: as expected, and once past that after as long again as it ran."""
        # Asked a hundred times a pass: written out rather than put together from min() and max().
        begin, ends_at = self.started_at, self.ends_at
        if self.expected_s is None or begin is None:
            return ends_at
        expected = begin + self.expected_s
        if expected <= now:
            ran_s = now - begin
            expected = now + (max(SOON_S, ran_s))
        return min(ends_at, expected)

    def is_late(self, now: float) -> bool:
        """Say whether the job runs longer than was expected."""
        return self.expected_s is not None and self.started_at is not None and self.started_at + self.expected_s <= now


class Closure(NamedTuple):
    """A booking as it concerns one job: `admitted` when the window is for it, too."""

    booking: Booking
    admitted: bool

    def bars(self, at: float, longest_s: float) -> bool:
        """Say whether a job that runs so long cannot start then on GPUs of the booking, outside of its window.

        It would be in the way of others; those who are let in start inside of the window.
        """
        if at >= self.booking.ends_at:
            return False
        return self.booking.from_at <= at if self.admitted else self.booking.from_at < at + longest_s


@dataclass(slots=True, eq=False)
class NodeSpace:
    """One node in one pass: `usable` are its GPUs that are not blocked, `free` those of them nobody holds.

    `holds` are in the order of their ends. As one job sees a node, `closures` keep some of its GPUs from it for a time:
    of those that nobody holds, the ones it may not have now are `shut`, not `free`; `barred` are all those it may not
    have now. MIG instances, by number with their memory, are neither `usable` nor `free`: whole GPUs are counted there.
    """

    name: str
    position: int
    usable: frozenset[int]
    cpus_total: int
    mem_total_bytes: int
    free: list[int]
    cpus: int
    mem_bytes: int
    holds: list[Hold] = field(default_factory=list)
    shut: tuple[int, ...] = ()
    closures: tuple[Closure, ...] = ()
    shared: SharedGpus = field(default_factory=SharedGpus)
    barred: frozenset[int] = frozenset()
    instances: Mapping[int, int] = field(default_factory=dict)
    #: Those of the instances that nobody holds, the smallest first.
    free_instances: list[int] = field(default_factory=list)
    #: By what the expected runs of the jobs here were told.
    expected_by: Callable[[float], float] | None = None
    #: The answer of ends(), and from when until when it stands; never when anything has changed since.
    _ends: list[tuple[float, Hold]] = field(init=False, default_factory=list)
    _ends_at: float = field(init=False, default=math.inf)
    _ends_until: float = field(init=False, default=-math.inf)

    @property
    def idle(self) -> list[int]:
        """The GPUs that nobody holds, booked or not."""
        return [*self.free, *self.shut] if self.shut else self.free

    def expect(self, expected_s: Callable[[float], float] | None) -> None:
        """Learn anew how long the jobs here are thought to run; as predicted when nothing says better."""
        if expected_s is not None and expected_s is self.expected_by:
            return
        self.expected_by = expected_s
        for hold in self.holds:
            if hold.predicted_s is not None:
                hold.expected_s = hold.predicted_s if expected_s is None else expected_s(hold.predicted_s)
        self._ends_at = math.inf

    def ends(self, now: float) -> Sequence[tuple[float, Hold]]:
        """Return when each job here is thought to end, the first one first; worked out anew only when that moves."""
        if self._ends_at != now and not self._ends_at < now < self._ends_until:
            self._ends, self._ends_at = ends_of(self.holds, now), now
            # The end of a job that runs longer than expected moves on with the time; all others stand.
            moving = any(hold.is_late(now) for hold in self.holds)
            self._ends_until = now if moving or not self._ends else self._ends[0][0]
        return self._ends

    def last_end(self, now: float) -> float:
        """Return when the last job here is thought to end: now when nothing runs."""
        ends = self.ends(now)
        return ends[-1][0] if ends else now

    def lacking(self, shape: Shape) -> Lack:
        """Return what the shape needs and the node does not have free now."""
        gpus = len(self.free) if shape.gpu_mem_bytes is None else int(self._takes_share(shape.gpu_mem_bytes))
        return missing(shape, gpus, self.cpus, self.mem_bytes)

    def has_room(self, shape: Shape) -> bool:
        """Say whether nothing is lacking; the same answer as `lacking`, without building it."""
        return (
            (len(self.free) >= shape.gpus if shape.gpu_mem_bytes is None else self._takes_share(shape.gpu_mem_bytes))
            and (self.cpus >= shape.cpus or not shape.cpus)
            and (self.mem_bytes >= shape.mem_bytes or not shape.mem_bytes)
        )

    def can_hold(self, shape: Shape) -> bool:
        """Say whether the shape would fit if nothing ran here; blocked GPUs do not count."""
        return (
            (len(self.usable) >= shape.gpus if shape.gpu_mem_bytes is None else bool(self.large_enough(shape)))
            and (self.cpus_total >= shape.cpus or not shape.cpus)
            and (self.mem_total_bytes >= shape.mem_bytes or not shape.mem_bytes)
        )

    def large_enough(self, shape: Shape) -> frozenset[int]:
        """Return the GPUs of which the shape could have its share, and the instances; all GPUs for whole ones."""
        if shape.gpu_mem_bytes is None:
            return self.usable
        large = frozenset(gpu for gpu in self.usable if self.shared.holds(gpu, shape.gpu_mem_bytes))
        return large.union(self._large(self.instances, shape.gpu_mem_bytes)) if self.instances else large

    def open_shares(self, shape: Shape, settled_by: float = math.inf) -> list[int]:
        """Return the shared GPUs on which the shape has room, if all jobs there started by then."""
        if shape.gpu_mem_bytes is None or not self.shared.on:
            return []
        return [gpu for gpu in self.shared.openings(shape.gpu_mem_bytes, settled_by) if gpu not in self.barred]

    def open_instances(self, shape: Shape) -> list[int]:
        """Return the free instances that are large enough for the shape; none for whole GPUs."""
        if shape.gpu_mem_bytes is None or not self.free_instances:
            return []
        return self._large(self.free_instances, shape.gpu_mem_bytes)

    def _takes_share(self, mem_bytes: int) -> bool:
        if any(self.shared.holds(gpu, mem_bytes) for gpu in self.free) or self._large(self.free_instances, mem_bytes):
            return True
        return any(gpu not in self.barred for gpu in self.shared.openings(mem_bytes))

    def _large(self, numbers: Iterable[int], mem_bytes: int) -> list[int]:
        return [number for number in numbers if self.instances[number] >= mem_bytes]

    def only(self, gpus: frozenset[int]) -> Self:
        """Return the node as it is for jobs that may have these of its GPUs only; to look at, not to take from."""
        holds = [replace(hold, gpus=tuple(gpu for gpu in hold.gpus if within(gpu, gpus))) for hold in self.holds]
        free = [gpu for gpu in self.free if gpu in gpus]
        shared = self.shared.only(gpus) if self.shared.on else self.shared
        return replace(
            self, usable=self.usable & gpus, free=free, holds=holds, shared=shared,
            instances={number: mem_bytes for number, mem_bytes in self.instances.items() if within(number, gpus)},
            free_instances=[number for number in self.free_instances if within(number, gpus)],
        )  # fmt: skip

    def meant_for(self, shape: Shape) -> Self:
        """Return the node with what the shape could ever have of it as its GPUs; to look at, not to take from.

        Instances that are large enough for a share are GPUs then, and come first; for whole GPUs there are none.
        """
        if shape.gpu_mem_bytes is None and not self.instances:
            return self
        large = self.large_enough(shape)
        seen = self.only(large)
        if not self.instances:
            return seen
        return replace(
            seen, usable=large, free=[*seen.free_instances, *seen.free],
            shut=tuple(gpu for gpu in self.shut if gpu in large),
        )  # fmt: skip

    def take(self, hold: Hold) -> None:
        """Give these resources to a job."""
        self._ends_at = math.inf
        insort(self.holds, hold, key=_ends_at)
        self.free = [gpu for gpu in self.free if gpu not in hold.gpus]
        if hold.gpu_mem_bytes is not None and not self._hand_out(hold):
            self.shared.take(hold.job_id, hold.gpus, Share(hold.gpu_mem_bytes, hold.started_at))
        self.cpus -= hold.cpus
        self.mem_bytes -= hold.mem_bytes

    def give_back(self, job_id: int) -> None:
        """Free what a job holds here; raises StopIteration when it holds nothing."""
        place = next(place for place, hold in enumerate(self.holds) if hold.job_id == job_id)
        hold = self.holds.pop(place)
        self._ends_at = math.inf
        if hold.gpu_mem_bytes is None:
            self.free = sorted((*self.free, *hold.gpus))
        elif not self._put_back(hold):
            self.free = sorted((*self.free, *self.shared.give_back(job_id, hold.gpus)))
        self.cpus += hold.cpus
        self.mem_bytes += hold.mem_bytes

    def _hand_out(self, hold: Hold) -> bool:
        """Say whether it is an instance that the job has, and take it."""
        if not self.instances.keys() & set(hold.gpus):
            return False
        self.free_instances = [number for number in self.free_instances if number not in hold.gpus]
        return True

    def _put_back(self, hold: Hold) -> bool:
        back = self.instances.keys() & set(hold.gpus)
        if back:
            self.free_instances = sorted((*self.free_instances, *back), key=lambda one: (self.instances[one], one))
        return bool(back)


def _ends_at(hold: Hold) -> float:
    return hold.ends_at


def ends_of(holds: Iterable[Hold], now: float) -> list[tuple[float, Hold]]:
    """Return when each of these is thought to end, the first one first."""
    return sorted([(hold.expected_end(now), hold) for hold in holds], key=itemgetter(0))


def drains_s(nodes: Iterable[NodeSpace], now: float) -> list[float]:
    """Return how long until one node, two nodes and so on are wholly free, as far as is known, in seconds."""
    return sorted([node.last_end(now) - now for node in nodes])


def spaces_of(view: ClusterView) -> list[NodeSpace]:
    """Return what is free on each node of the view."""
    running: dict[str, list[RunningJob]] = {}
    for job in view.running:
        running.setdefault(job.node, []).append(job)
    spaces = [_space(place, node, running.get(node.name, ())) for place, node in enumerate(view.nodes)]
    for space in spaces:
        space.expect(view.standing.expect)
    return spaces


def _space(position: int, node: NodeView, running: Iterable[RunningJob]) -> NodeSpace:
    usable = frozenset(gpu.index for gpu in node.gpus if gpu.blocked is None and gpu.instances is None)
    space = NodeSpace(node.name, position, usable, node.cpus, node.mem_bytes, sorted(usable), node.cpus, node.mem_bytes)
    known = {slot.index: slot for slot in node.gpus if slot.mem_total_bytes or slot.neighbourhood or slot.penalty}
    space.shared.slots = known
    space.instances = open_instances(node)
    space.free_instances = sorted(space.instances, key=lambda one: (space.instances[one], one))
    for job in running:
        # A blocked GPU does not come back to the queue when its job ends.
        gpus = tuple(gpu for gpu in _held(job) if gpu in usable or gpu in space.instances)
        ends_at = math.inf if job.ends_at is None else job.ends_at
        if job.stopping:
            ends_at = DUE_NOW
        space.take(
            Hold(job.id, gpus, job.cpus, job.mem_bytes, ends_at, job.started_at, job.predicted_s, job.gpu_mem_bytes)
        )
    if space.shared.on:
        space.shared.measure()
    return space


def _held(job: RunningJob) -> tuple[int, ...]:
    return job.gpus if job.gpu_instance is None else tuple(number_of(gpu, job.gpu_instance) for gpu in job.gpus)
