"""A pass over the waiting jobs in order, in which all that would be refused alike is passed over at once."""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.shape import Shape

#: Priority (negative, so that the higher comes first) and shape.
GroupKey = tuple[int, Shape]
#: Priority (negative) and demand.
LaneKey = tuple[int, tuple[int, int, int]]


class Place(NamedTuple):
    """A job's place in the queue; ids differ, so comparing never comes to the shape."""

    minus_priority: int
    sequence: int
    job_id: int
    shape: Shape

    @classmethod
    def of(cls, job: QueuedJob) -> Self:
        """Return the job's place."""
        return cls(-job.priority, job.sequence, job.id, Shape.of(job))

    @property
    def group(self) -> GroupKey:
        """Where jobs of the same priority and shape are."""
        return (self.minus_priority, self.shape)

    @property
    def lane(self) -> LaneKey:
        """Where jobs of the same priority and demand are, whatever their limit."""
        return (self.minus_priority, self.shape.demand)


class _Turn(NamedTuple):
    """Whose turn it is, where in its group, and where in its lane the group is.

    `in_lane` is None for a group of which a job was taken before: it goes on by itself, apart from its lane.
    """

    place: Place
    in_group: int
    in_lane: int | None


class Walk:
    """The ready jobs in order, one at a time; the index must not change meanwhile."""

    def __init__(
        self,
        jobs: Mapping[int, QueuedJob],
        groups: Mapping[GroupKey, Sequence[Place]],
        lanes: Mapping[LaneKey, Sequence[Place]],
    ) -> None:
        self._jobs = jobs
        self._groups = groups
        self._lanes = lanes
        self._turns = [_Turn(lane[0], 0, 0) for lane in lanes.values()]
        heapq.heapify(self._turns)

    @property
    def job(self) -> QueuedJob | None:
        """The job whose turn it is, None at the end."""
        return self._jobs[self._turns[0].place.job_id] if self._turns else None

    @property
    def shape(self) -> Shape:
        """The shape of the job whose turn it is; raises IndexError at the end."""
        return self._turns[0].place.shape

    def next_job(self) -> None:
        """Go on to the next job, of whatever shape."""
        turn = heapq.heappop(self._turns)
        group, index = self._groups[turn.place.group], turn.in_group + 1
        if index < len(group):
            heapq.heappush(self._turns, _Turn(group[index], index, None))
        self._follow(turn, None)

    def next_shorter(self, limit_s: float) -> None:
        """Go on, past all jobs of this priority and demand with this limit or a longer one."""
        self._follow(heapq.heappop(self._turns), limit_s)

    def _follow(self, turn: _Turn, limit_s: float | None) -> None:
        """Line up the next group of the lane, or the next with a limit shorter than this."""
        if turn.in_lane is None or limit_s == 0:
            return
        lane = self._lanes[turn.place.lane]
        for index in range(turn.in_lane + 1, len(lane)):
            if limit_s is None or lane[index].shape.longest_s < limit_s:
                heapq.heappush(self._turns, _Turn(lane[index], 0, index))
                return
