"""A pass over the waiting jobs in order, in which all that would be refused alike is passed over at once."""

from collections.abc import Iterable, Iterator, Mapping

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.group import Group, alone
from dcdaemon.scheduler.line import Line, Turn
from dcdaemon.scheduler.order import Rank, Ranking
from dcdaemon.scheduler.shape import Shape


class Walk:
    """The ready jobs in the order of a ranking, one at a time; the index must not change meanwhile.

    Promised jobs have a turn of their own, wherever they are in their groups.
    """

    def __init__(
        self, jobs: Mapping[int, QueuedJob], groups: Iterable[Group], ranking: Ranking, promised: Iterable[QueuedJob]
    ) -> None:
        self._jobs = jobs
        self._ranking = ranking
        self._line = Line(jobs, ranking)
        self._skip = self._skip_alike = False
        own = [alone(job) for job in promised]
        self._promised = frozenset(group.places[0].job_id for group in own)
        turns = [self._turn(group, 0) for group in own]
        turns += [turn for group in groups if (turn := self._next_turn(group, 0)) is not None]
        self._line.fill(turns)

    def __iter__(self) -> Iterator[tuple[QueuedJob, Shape, Rank]]:
        """Yield jobs with shape and rank until all have had their turn or were passed over."""
        while (turn := self._line.first()) is not None:
            yield self._jobs[turn.job_id], turn.group.places[turn.place].shape, turn.rank
            self._line.follow(None if self._skip else self._next_turn(turn.group, self._place_after(turn)))
            self._skip = self._skip_alike = False

    def skip_group(self) -> None:
        """Pass over the rest of the group of the job whose turn it is."""
        self._skip = True

    def skip_alike(self) -> None:
        """Pass over those next in the group that last no shorter than the job whose turn it is."""
        self._skip_alike = True

    def _place_after(self, turn: Turn) -> int:
        places, index = turn.group.places, turn.place + 1
        if not self._skip_alike:
            return index
        shape = places[turn.place].shape
        longest_s, predicted_s = shape.longest_s, shape.predicted_s
        while index < len(places) and _lasts(places[index].shape, longest_s, predicted_s):
            index += 1
        return index

    def _next_turn(self, group: Group, index: int) -> Turn | None:
        places = group.places
        while index < len(places) and places[index].job_id in self._promised:
            index += 1
        return self._turn(group, index) if index < len(places) else None

    def _turn(self, group: Group, index: int) -> Turn:
        place = group.places[index]
        rank = self._ranking.rank(self._jobs[place.job_id], group.key.length)
        return Turn(rank, place.sequence, place.job_id, index, group)


def _lasts(shape: Shape, longest_s: float, predicted_s: float | None) -> bool:
    return (shape.limit_s is None or shape.limit_s >= longest_s) and shape.predicted_s == predicted_s
