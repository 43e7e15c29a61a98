"""Whether jobs that are being submitted fit at once, told by the fit that decides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from dcdaemon.core.plan import Reservation
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.placement import place
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.shape import Demand, Shape
from dcdaemon.scheduler.space import NodeSpace


class Room(NamedTuple):
    """Whether there is room for the job that nothing keeps it from, and how many free GPUs are kept for others."""

    fits: bool
    kept_gpus: int = 0


class Rooms:
    """What is free at one moment, beside what the last plan keeps; jobs that are asked about one by one take theirs."""

    def __init__(self, spaces: Sequence[NodeSpace], kept: Iterable[Reservation], policy: Policy, now: float) -> None:
        """Look at these nodes, without changing them."""
        self._spaces, self._kept, self._policy, self._now = spaces, tuple(kept), policy, now
        self._taken: dict[str, set[int]] = {}
        self._refused: set[Demand] = set()

    def of(self, job: QueuedJob) -> Room:
        """Return the room for a job, and count it as taken where the job fits."""
        shape = Shape.of(job)
        closed = self._closed_to(shape)
        found = None if shape.demand in self._refused else place(shape, self._open(closed), self._policy)
        if found is None:
            if not closed:
                self._refused.add(shape.demand)
            free = {space.name: {*space.free, *space.free_instances} for space in self._spaces if space.name in closed}
            return Room(fits=False, kept_gpus=sum(len(gpus.intersection(free[name])) for name, gpus in closed.items()))
        for part in found.parts:
            self._taken.setdefault(part.node.name, set()).update(part.gpus)
        return Room(fits=True)

    def _open(self, closed: Mapping[str, set[int]]) -> list[NodeSpace]:
        away = {**closed}
        for name, gpus in self._taken.items():
            away[name] = gpus | closed.get(name, set())
        return [_without(space, away[space.name]) if space.name in away else space for space in self._spaces]

    def _closed_to(self, shape: Shape) -> dict[str, set[int]]:
        """Return the GPUs kept for jobs that this one would not be over in time for."""
        closed: dict[str, set[int]] = {}
        for kept in self._kept:
            if not self._is_over_by(shape, kept):
                for part in kept.parts:
                    closed.setdefault(part.node, set()).update(part.gpus)
        return closed

    def _is_over_by(self, shape: Shape, kept: Reservation) -> bool:
        at, safety = kept.at if kept.expected_at is None else kept.expected_at, self._policy.safety
        if at is None:
            return False
        if shape.limit_s is not None and self._now + shape.limit_s <= at:
            return True
        if kept.promised or safety is None or shape.predicted_s is None:
            return False
        return self._now + safety * shape.predicted_s <= at


def _without(space: NodeSpace, gpus: set[int]) -> NodeSpace:
    """Return the node as it is when these GPUs are not free."""
    return replace(
        space, free=[gpu for gpu in space.free if gpu not in gpus],
        free_instances=[number for number in space.free_instances if number not in gpus],
    )  # fmt: skip
