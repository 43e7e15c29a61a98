"""A pass over the waiting jobs in order, in which all that would be refused alike is passed over at once."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from dcdaemon.core.view import CapKey, QueuedJob
from dcdaemon.scheduler.order import Rank, lasting_s, length_class, typical_s
from dcdaemon.scheduler.shape import Demand, Shape

Ranked = Callable[[QueuedJob, int], Rank]


class GroupKey(NamedTuple):
    """What jobs must share so that of two of them the older one always goes first."""

    minus_priority: int
    queue: str
    owner: tuple[str, str]
    demand: Demand
    caps: tuple[CapKey, ...]
    limit_class: int | None
    length: int

    @classmethod
    def of(cls, job: QueuedJob, shape: Shape) -> Self:
        """Return the key of a job's group."""
        limit_class = None if job.limit_s is None else length_class(job.limit_s)
        length = length_class(lasting_s(job))
        return cls(-job.priority, job.queue, (job.account, job.user), shape.demand, job.caps, limit_class, length)


class Place(NamedTuple):
    """A job's place in its group; ids differ, so comparing never comes to the shape."""

    sequence: int
    job_id: int
    shape: Shape


@dataclass(slots=True)
class Group:
    """The jobs of one key, the oldest first."""

    key: GroupKey
    places: list[Place] = field(default_factory=list)


class Turn(NamedTuple):
    """Whose turn it is, and where in its group."""

    rank: Rank
    sequence: int
    job_id: int
    place: int
    group: Group


class Walk:
    """The ready jobs in the order of a ranking, one at a time; the index must not change meanwhile.

    Promised jobs have a turn of their own, wherever they are in their groups.
    """

    def __init__(
        self, jobs: Mapping[int, QueuedJob], groups: Iterable[Group], ranked: Ranked, promised: Iterable[QueuedJob]
    ) -> None:
        self._jobs = jobs
        self._ranked = ranked
        own = [_alone(job) for job in promised]
        self._turns = [self._turn(group, 0) for group in own]
        self._promised = frozenset(group.places[0].job_id for group in own)
        self._turns += [turn for group in groups if (turn := self._next_turn(group, 0)) is not None]
        heapq.heapify(self._turns)

    def __iter__(self) -> Iterator[tuple[QueuedJob, Shape, Rank]]:
        """Yield jobs with shape and rank until all have had their turn or were passed over."""
        while self._turns:
            turn = self._turns[0]
            if self._moved_back(turn):
                continue
            yield self._jobs[turn.job_id], turn.group.places[turn.place].shape, turn.rank
            if self._turns and self._turns[0] is turn:
                self._go_on(turn)

    def skip_group(self) -> None:
        """Pass over the rest of the group of the job whose turn it is."""
        heapq.heappop(self._turns)

    def _moved_back(self, turn: Turn) -> bool:
        """Put the turn where it belongs by now; what the pass has started since can only move it back."""
        job = self._jobs[turn.job_id]
        if not self._ranking.moves(job):
            return False
        rank = self._ranking.rank(job, turn.group.key.length)
        if rank <= turn.rank:
            return False
        heapq.heapreplace(self._turns, turn._replace(rank=rank))
        return True

    def _go_on(self, turn: Turn) -> None:
        following = self._next_turn(turn.group, turn.place + 1)
        if following is None:
            heapq.heappop(self._turns)
        else:
            heapq.heapreplace(self._turns, following)

    def _next_turn(self, group: Group, index: int) -> Turn | None:
        places = group.places
        while index < len(places) and places[index].job_id in self._promised:
            index += 1
        return self._turn(group, index) if index < len(places) else None

    def _turn(self, group: Group, index: int) -> Turn:
        place = group.places[index]
        rank = self._ranked(self._jobs[place.job_id], group.key.length)
        return Turn(rank, place.sequence, place.job_id, index, group)


def shape_of(job: QueuedJob) -> Shape:
    """Return the job's shape, its prediction rounded to its class, so that a group is refused as one."""
    shape = Shape.of(job)
    if shape.predicted_s is None:
        return shape
    return shape._replace(predicted_s=typical_s(length_class(shape.predicted_s)))


def _alone(job: QueuedJob) -> Group:
    shape = shape_of(job)
    return Group(GroupKey.of(job, shape), [Place(job.sequence, job.id, shape)])
