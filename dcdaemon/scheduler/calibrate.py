"""How long jobs really run, given what was predicted: learned from those that ended."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

#: The prior: as good as so many jobs that ran as long as predicted, give or take a factor of e, around an hour.
PRIOR_JOBS = 20.0
PRIOR_LOG_S = math.log(3600.0)
PRIOR_VARIANCE = 4.0
PRIOR_ERROR = 1.0
#: The prior of each octave of predictions: as good as so many jobs of its own that ran as expected.
OCTAVE_JOBS = 10.0
#: What was learned is drawn again when so much more is known; it would hardly differ before.
GROWN = 1.01
_LEAST_S = 1.0
_NORMAL = NormalDist()


@dataclass(slots=True, eq=False)
class Means:
    """What is known at one time: a line from the logarithm of a prediction to that of the run, and its spread.

    A mean run is that of the log-normal which they give, times what the octave of the prediction has shown beside it.
    """

    offset: float
    slope: float
    spread: float
    ran_s: Mapping[int, float]
    thought_s: Mapping[int, float]
    _known: dict[float, float] = field(default_factory=dict)

    def __call__(self, predicted_s: float) -> float:
        """Return how long a job of this prediction runs in the mean, in seconds."""
        known = self._known.get(predicted_s)
        if known is None:
            known = self._known[predicted_s] = self.line_s(predicted_s) * self._factor(predicted_s)
        return known

    def given(self, predicted_s: float, ran_s: float) -> float:
        """Return the same of a job that has run for `ran_s` already."""
        mean_s = self(predicted_s)
        if ran_s < _LEAST_S:
            return mean_s
        middle = math.log(mean_s) - self.spread**2 / 2
        z = (middle - math.log(ran_s)) / self.spread
        if z < -4:
            # So far beyond what was thought that the tail has to do: it falls with 1/z.
            return ran_s * (1 + self.spread / 4)
        return max(ran_s * 1.001, mean_s * _NORMAL.cdf(z + self.spread) / _NORMAL.cdf(z))

    def line_s(self, predicted_s: float) -> float:
        """Return the mean run without what its octave has shown."""
        return math.exp(self.offset + self.slope * math.log(max(predicted_s, _LEAST_S)) + self.spread**2 / 2)

    def _factor(self, predicted_s: float) -> float:
        octave, prior_s = octave_of(predicted_s), OCTAVE_JOBS * self.line_s(predicted_s)
        return (self.ran_s.get(octave, 0.0) + prior_s) / (self.thought_s.get(octave, 0.0) + prior_s)


class Calibration:
    """Learns from every job that ends; each costs the same, however many came before."""

    def __init__(self) -> None:
        """Begin with the prior alone."""
        c, v, k = PRIOR_LOG_S, PRIOR_VARIANCE, PRIOR_JOBS
        self._n, self._x, self._y = k, k * c, k * c
        self._xx, self._xy, self._yy = k * (c * c + v), k * (c * c + v), k * (c * c + v + PRIOR_ERROR)
        #: By octave of the prediction: what jobs ran together, and what was thought of them.
        self._ran_s: dict[int, float] = {}
        self._thought_s: dict[int, float] = {}
        self._drawn_at = 0.0
        self.means = self._draw()

    def learn(self, predicted_s: float, run_s: float) -> None:
        """Take in a job that ended."""
        octave = octave_of(predicted_s)
        self._ran_s[octave] = self._ran_s.get(octave, 0.0) + run_s
        self._thought_s[octave] = self._thought_s.get(octave, 0.0) + self.means.line_s(predicted_s)
        x, y = math.log(max(predicted_s, _LEAST_S)), math.log(max(run_s, _LEAST_S))
        self._n, self._x, self._y = self._n + 1, self._x + x, self._y + y
        self._xx, self._xy, self._yy = self._xx + x * x, self._xy + x * y, self._yy + y * y
        if self._n >= GROWN * self._drawn_at:
            self.means = self._draw()

    def expected_s(self, predicted_s: float, ran_s: float) -> float:
        """Return how long a job of this prediction runs in the mean, given that it has run for `ran_s` already."""
        return self.means.given(predicted_s, ran_s)

    def _draw(self) -> Means:
        n, x, y = self._n, self._x, self._y
        xx, xy, yy = self._xx - x * x / n, self._xy - x * y / n, self._yy - y * y / n
        slope = xy / xx
        spread = math.sqrt(max(0.01, (yy - slope * xy) / n))
        self._drawn_at = n
        return Means((y - slope * x) / n, slope, spread, dict(self._ran_s), dict(self._thought_s))


def octave_of(seconds: float) -> int:
    """Return the power of two that a time falls into."""
    return math.floor(math.log2(max(seconds, _LEAST_S)))
