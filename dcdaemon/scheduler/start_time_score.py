"""How well starts were foretold: whether the last ones lay within their intervals, and how far off the middle was."""

from collections import OrderedDict
from statistics import median
from typing import NamedTuple

#: Over so many starts it is reported: enough to be steady, few enough to be about now.
KEPT = 1000
#: Of shorter waits it matters that they were short, not by how much a forecast was wrong.
SHORT_S = 60.0


class Told(NamedTuple):
    """What the owner of a job was told when, epoch seconds."""

    made_at: float
    low_at: float
    at: float
    high_at: float


class StartAccuracy(NamedTuple):
    """How well the last forecasts turned out.

    `within_ratio` is the share of jobs, 0 to 1, that started within their interval, those of `late` among the misses:
    jobs that wait for longer than they were told. `typical_error_ratio` is what the forecast was off by over the true
    wait, for every second job that waited more than a minute at most. `at_once_ratio` is the share of those that waited
    less and had been told so. None without such jobs.
    """

    jobs: int
    late: int = 0
    within_ratio: float | None = None
    typical_error_ratio: float | None = None
    at_once_ratio: float | None = None


class StartScore:
    """The last forecasts whose truth is known, each job once."""

    def __init__(self, kept: int | None = KEPT) -> None:
        """Begin with none."""
        self._kept = kept
        self._starts: OrderedDict[int, tuple[Told, float]] = OrderedDict()

    def started(self, job_id: int, told: Told, at: float) -> None:
        """Take in the true start of a job."""
        self._starts[job_id] = (told, at)
        if self._kept is not None and len(self._starts) > self._kept:
            self._starts.popitem(last=False)

    def accuracy(self, late: int = 0) -> StartAccuracy:
        """Return how well the forecasts turned out, with so many jobs that wait for longer than they were told."""
        starts = list(self._starts.values())
        within = [told.low_at <= at <= told.high_at for told, at in starts]
        errors = [_error_ratio(told, at) for told, at in starts if at - told.made_at > SHORT_S]
        at_once = [told.at - told.made_at <= SHORT_S for told, at in starts if at - told.made_at <= SHORT_S]
        return StartAccuracy(
            len(starts), late,
            within_ratio=sum(within) / (len(starts) + late) if starts or late else None,
            typical_error_ratio=median(errors) if errors else None,
            at_once_ratio=sum(at_once) / len(at_once) if at_once else None,
        )  # fmt: skip


def _error_ratio(told: Told, at: float) -> float:
    return abs(told.at - at) / (at - told.made_at)
