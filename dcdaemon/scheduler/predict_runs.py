"""The last runs of one kind, and what they say about the next: their median by Kaplan and Meier.

A run that was cut short (cancelled, past its limit, preempted) tells only that it would have lasted at least so long.
To count it as an end would make the next prediction too short, to leave it out as well: the long ones are those that
are cut. The estimator of Kaplan and Meier (J. Am. Stat. Assoc. 53, 1958) lets it count with those that lasted longer.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dcdaemon.core.job import JobState

#: So many runs of a kind are kept: people change their jobs, and what they ran before counts no more.
KEPT = 32
SHORTEST_S = 1.0
#: What fails sooner has a mistake in it; once that is mended it runs longer. Four such failures count as one run.
EARLY_S, EARLY_WEIGHT = 60.0, 0.25
#: The job came to its own end. All others were cut short.
OWN_END = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.OUT_OF_MEMORY})
#: The share of runs up to one standard deviation below the median, to it, and to one above it.
_LOW, _MIDDLE, _HIGH = 0.16, 0.5, 0.84
_CLOSE = 1e-9


class Run(NamedTuple):
    """One run: the natural logarithm of what it lasted, how much it counts, and whether it came to its own end."""

    log: float
    weight: float = 1.0
    ended: bool = True


class Known(NamedTuple):
    """What the runs of a kind say: median and spread of the logarithm, and how many runs say so.

    With `at_least` half of them and more were cut short, and the median is only known not to be less.
    """

    log: float
    sigma: float
    weight: float
    at_least: bool = False


def run_of(run_s: float, state: JobState) -> Run:
    """Return a run as it counts after it ended like this."""
    failed_early = state is not JobState.SUCCEEDED and state in OWN_END and run_s < EARLY_S
    return Run(math.log(max(run_s, SHORTEST_S)), EARLY_WEIGHT if failed_early else 1.0, state in OWN_END)


class Runs:
    """The last runs of one kind; what they say is worked out when it is asked for."""

    __slots__ = ("_all", "_ended", "_known", "_runs", "count")

    def __init__(self) -> None:
        #: How many were taken in, those forgotten too.
        self.count = 0
        self._runs: list[Run] = []
        self._all = self._ended = 0.0
        self._known: Known | None = None

    def add(self, run: Run) -> None:
        """Take in a run that is over; the oldest is forgotten, but still counts in how many there were."""
        self.count += 1
        self._runs.append(run)
        del self._runs[:-KEPT]
        self._all += run.weight
        self._ended += run.weight * run.ended
        self._known = None

    @property
    def known(self) -> Known:
        """What they say; raises IndexError when there is none."""
        if self._known is None:
            self._known = self._said()
        return self._known

    def _said(self) -> Known:
        by_length = sorted(self._runs, key=_length)
        ends = list(_survival(by_length))
        low, middle, high = (_quantile(ends, share) for share in (_LOW, _MIDDLE, _HIGH))
        longest = by_length[-1].log
        sigma = ((longest if high is None else high) - (longest if low is None else low)) / 2
        if middle is None:
            return Known(longest, sigma, self._all, at_least=True)
        return Known(middle, sigma, self._ended)


def _length(run: Run) -> tuple[float, bool]:
    """Return the sort key: of two that lasted as long, the one that was cut short would have gone on."""
    return (run.log, not run.ended)


def _survival(by_length: Sequence[Run]) -> Iterator[tuple[float, float]]:
    """Yield each length at which a run came to its own end, and the share of runs that last longer."""
    at_risk = sum(run.weight for run in by_length)
    share = 1.0
    for log, weight, ended in by_length:
        if ended:
            share *= max(0.0, 1 - weight / at_risk)
            yield log, share
        at_risk -= weight


def _quantile(ends: Sequence[tuple[float, float]], share: float) -> float | None:
    """Return the length that this share of the runs does not exceed; between two that both fit, the middle."""
    index = next((index for index, (_, longer) in enumerate(ends) if longer < 1 - share + _CLOSE), None)
    if index is None:
        return None
    log, longer = ends[index]
    both_fit = longer > 1 - share - _CLOSE and index + 1 < len(ends)
    return (log + ends[index + 1][0]) / 2 if both_fit else log
