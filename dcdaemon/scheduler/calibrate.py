"""How long jobs really run, given what was predicted: learned from those that ended."""

import math
from statistics import NormalDist

#: The prior: as good as so many jobs that ran as long as predicted, give or take a factor of e, around an hour.
PRIOR_JOBS = 20.0
PRIOR_LOG_S = math.log(3600.0)
PRIOR_SPREAD = 4.0
PRIOR_ERROR = 1.0
#: The prior of each octave of predictions: as good as so many jobs of its own that ran as expected.
OCTAVE_JOBS = 10.0
_LEAST_S = 1.0
_NORMAL = NormalDist()


class Calibration:
    """A line from the logarithm of a prediction to that of the run, with its spread, and a factor for each octave.

    An expected run is the mean of the log-normal that they give. Each job costs the same, however many came before.
    """

    def __init__(self) -> None:
        """Begin with the prior alone."""
        c, v, k = PRIOR_LOG_S, PRIOR_SPREAD, PRIOR_JOBS
        self._n, self._x, self._y = k, k * c, k * c
        self._xx, self._xy, self._yy = k * (c * c + v), k * (c * c + v), k * (c * c + v + PRIOR_ERROR)
        #: By octave of the prediction: what jobs ran together, and what was expected of them.
        self._ran_s: dict[int, float] = {}
        self._expected_s: dict[int, float] = {}
        self._fit()

    def learn(self, predicted_s: float, run_s: float) -> None:
        """Take in a job that ended."""
        octave = _octave(predicted_s)
        self._ran_s[octave] = self._ran_s.get(octave, 0.0) + run_s
        self._expected_s[octave] = self._expected_s.get(octave, 0.0) + self._line_s(predicted_s)
        x, y = math.log(max(predicted_s, _LEAST_S)), math.log(max(run_s, _LEAST_S))
        self._n, self._x, self._y = self._n + 1, self._x + x, self._y + y
        self._xx, self._xy, self._yy = self._xx + x * x, self._xy + x * y, self._yy + y * y
        self._fit()

    def expected_s(self, predicted_s: float, ran_s: float = 0.0) -> float:
        """Return how long a job of this prediction runs in the mean, given that it has run for `ran_s` already."""
        mean_s, middle, factor = self._line_s(predicted_s), self._middle(predicted_s), self._factor(predicted_s)
        mean_s, middle = mean_s * factor, middle + math.log(factor)
        if ran_s <= _LEAST_S:
            return mean_s
        z = (middle - math.log(ran_s)) / self._spread
        if z < -4:
            # So far beyond what was thought that the tail has to do: it falls with 1/z.
            return ran_s * (1 + self._spread / 4)
        return max(ran_s * 1.001, mean_s * _NORMAL.cdf(z + self._spread) / _NORMAL.cdf(z))

    def _line_s(self, predicted_s: float) -> float:
        return math.exp(self._middle(predicted_s) + self._spread**2 / 2)

    def _middle(self, predicted_s: float) -> float:
        return self._offset + self._slope * math.log(max(predicted_s, _LEAST_S))

    def _factor(self, predicted_s: float) -> float:
        octave, prior_s = _octave(predicted_s), OCTAVE_JOBS * self._line_s(predicted_s)
        return (self._ran_s.get(octave, 0.0) + prior_s) / (self._expected_s.get(octave, 0.0) + prior_s)

    def _fit(self) -> None:
        n, x, y = self._n, self._x, self._y
        xx, xy, yy = self._xx - x * x / n, self._xy - x * y / n, self._yy - y * y / n
        self._slope = xy / xx
        self._offset = (y - self._slope * x) / n
        self._spread = math.sqrt(max(0.01, (yy - self._slope * xy) / n))


def _octave(seconds: float) -> int:
    return math.floor(math.log2(max(seconds, _LEAST_S)))
