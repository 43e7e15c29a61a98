"""How well predictions turn out: their errors over the last jobs, by what they were taken from."""

import math
from collections import deque
from collections.abc import Iterable
from statistics import median

from dcdaemon.core.prediction import Accuracy, Source

#: Over so many jobs of each source errors are reported: enough to be steady, few enough to be about now.
KEPT = 1000
#: A run of less counts as so long: nobody minds whether two seconds or six were predicted.
SHORTEST_S = 10.0


class Score:
    """The errors of the last predictions of each source, as logarithms to the base 2 of true over predicted time."""

    def __init__(self, kept: int | None = KEPT) -> None:
        self._errors = {source: deque[float](maxlen=kept) for source in Source}
        self._all = deque[float](maxlen=kept)

    def add(self, source: Source, predicted_s: float, run_s: float) -> None:
        """Take in the true time of a job."""
        error = math.log2(max(run_s, SHORTEST_S) / max(predicted_s, SHORTEST_S))
        self._errors[source].append(error)
        self._all.append(error)

    def accuracy(self) -> Accuracy:
        """Return how well the last predictions turned out, whatever they were taken from."""
        return _accuracy(self._all)

    def by_source(self) -> dict[Source, Accuracy]:
        """Return the same for each source."""
        return {source: _accuracy(errors) for source, errors in self._errors.items()}


def _accuracy(errors: Iterable[float]) -> Accuracy:
    sizes = [abs(error) for error in errors]
    if not sizes:
        return Accuracy(0)
    within, longer = sum(size <= 1 for size in sizes), sum(error > 0 for error in errors)
    return Accuracy(len(sizes), 2 ** median(sizes), within / len(sizes), longer / len(sizes))
