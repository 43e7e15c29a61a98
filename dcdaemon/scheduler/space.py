"""What is free on each node while one pass hands it out."""

import math
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from dcdaemon.core.view import ClusterView, NodeView, RunningJob
from dcdaemon.scheduler.shape import Lack, Shape, missing

#: A job past its prediction is not counted on to end sooner.
SOON_S = 60.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What one job holds on a node and when it gives it back at the latest; infinity when endless."""

    job_id: int
    gpus: tuple[int, ...]
    cpus: int
    mem_bytes: int
    ends_at: float
    started_at: float | None = None
    predicted_s: float | None = None

    def expected_end(self, now: float) -> float:
        """Return when the job is thought to end: as predicted, and once past that after as long again as it ran."""
        if self.predicted_s is None or self.started_at is None:
            return self.ends_at
        expected = self.started_at + self.predicted_s
        if expected <= now:
            expected = now + max(now - self.started_at, SOON_S)
        return min(expected, self.ends_at)


@dataclass(slots=True, eq=False)
class NodeSpace:
    """One node in one pass: `usable` are its GPUs that are not blocked, `free` those of them nobody holds.

    `holds` are in the order of their ends.
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

    def lacking(self, shape: Shape) -> Lack:
        """Return what the shape needs and the node does not have free now."""
        return missing(shape, len(self.free), self.cpus, self.mem_bytes)

    def has_room(self, shape: Shape) -> bool:
        """Say whether nothing is lacking; the same answer as `lacking`, without building it."""
        return (
            len(self.free) >= shape.gpus
            and (self.cpus >= shape.cpus or not shape.cpus)
            and (self.mem_bytes >= shape.mem_bytes or not shape.mem_bytes)
        )

    def can_hold(self, shape: Shape) -> bool:
        """Say whether the shape would fit if nothing ran here; blocked GPUs do not count."""
        return (
            len(self.usable) >= shape.gpus
            and (self.cpus_total >= shape.cpus or not shape.cpus)
            and (self.mem_total_bytes >= shape.mem_bytes or not shape.mem_bytes)
        )

    def take(self, hold: Hold) -> None:
        """Give these resources to a job."""
        insort(self.holds, hold, key=_ends_at)
        self.free = [gpu for gpu in self.free if gpu not in hold.gpus]
        self.cpus -= hold.cpus
        self.mem_bytes -= hold.mem_bytes

    def give_back(self, job_id: int) -> None:
        """Free what a job holds here; raises StopIteration when it holds nothing."""
        place = next(place for place, hold in enumerate(self.holds) if hold.job_id == job_id)
        hold = self.holds.pop(place)
        self.free = sorted((*self.free, *hold.gpus))
        self.cpus += hold.cpus
        self.mem_bytes += hold.mem_bytes


def _ends_at(hold: Hold) -> float:
    return hold.ends_at


def spaces_of(view: ClusterView) -> list[NodeSpace]:
    """Return what is free on each node of the view."""
    running: dict[str, list[RunningJob]] = {}
    for job in view.running:
        running.setdefault(job.node, []).append(job)
    return [_space(place, node, running.get(node.name, ())) for place, node in enumerate(view.nodes)]


def _space(position: int, node: NodeView, running: Iterable[RunningJob]) -> NodeSpace:
    usable = frozenset(gpu.index for gpu in node.gpus if gpu.blocked is None)
    space = NodeSpace(node.name, position, usable, node.cpus, node.mem_bytes, sorted(usable), node.cpus, node.mem_bytes)
    for job in running:
        # A blocked GPU does not come back to the queue when its job ends.
        gpus = tuple(gpu for gpu in job.gpus if gpu in usable)
        ends_at = math.inf if job.ends_at is None else job.ends_at
        space.take(Hold(job.id, gpus, job.cpus, job.mem_bytes, ends_at, job.started_at, job.predicted_s))
    return space
