"""Tells when a filesystem will be full: a line through the space left that no single burst can tilt.

The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968): up to 29 % of the points may
be anything at all, so one large file written or deleted does not make a trend. There is a trend only where more pairs
fall than chance would have it (Mann 1945, Kendall 1975), at the 5 % level.

The near future is told by the near past: what the last hour would fill within six hours is told from that hour, and
whatever lies further away from the last six hours. Six hours tell nothing of what is more than 90 days ahead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Points of each window; 60 of them make 1,770 pairs, half a millisecond of work.
_POINTS = 60
#: Seconds between two points: an hour, and six.
_NEAR_S, _FAR_S = 60.0, 360.0
_SOON_S, _EVER_S = _POINTS * _FAR_S, 90 * 86400.0
#: Fewer points make no trend, however even.
_AT_LEAST = 10
#: Two-sided, at the 5 % level.
_SURE = 1.96

Point = tuple[float, float]


@dataclass(slots=True)
class FillTrend:
    """The space left in one filesystem over the last hours; `estimate` changes once a minute."""

    near: list[Point] = field(default_factory=list)
    far: list[Point] = field(default_factory=list)
    slopes: tuple[float | None, float | None] = (None, None)

    def full_in_s(self, at_s: float, available_bytes: int) -> float | None:
        """Take in a reading at this monotonic time and return the seconds until full; None while it does not fill."""
        if _take(self.near, _NEAR_S, at_s, available_bytes):
            far = _slope(self.far) if _take(self.far, _FAR_S, at_s, available_bytes) else self.slopes[1]
            self.slopes = _slope(self.near), far
        if available_bytes <= 0:
            return 0.0
        within_s = zip(self.slopes, (_SOON_S, _EVER_S), strict=True)
        told = (available_bytes / -slope for slope, most_s in within_s if slope and available_bytes <= -slope * most_s)
        return next(told, None)


def _take(points: list[Point], every_s: float, at_s: float, value: float) -> bool:
    """Keep a reading when it is time for a point, and tell whether it was."""
    # A little early is on time: readings do not fall on whole minutes.
    if points and at_s - points[-1][0] < 0.95 * every_s:
        return False
    points.append((at_s, float(value)))
    del points[:-_POINTS]
    return True


def _slope(points: Sequence[Point]) -> float | None:
    """Return bytes a second by which the space shrinks, below zero; None where it does not, or not surely."""
    count = len(points)
    if count < _AT_LEAST or len({value for _, value in points}) == 1:
        return None
    slopes = [
        (later - value) / (at_s - since_s)
        for index, (at_s, later) in enumerate(points)
        for since_s, value in points[:index]
    ]
    balance = sum((slope > 0) - (slope < 0) for slope in slopes)
    # Variance without ties: larger than with them, so that ties never make a trend.
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    slope = _median(slopes)
    return slope if slope < 0 and balance < -_SURE * deviation else None


def _median(values: list[float]) -> float:
    """Return the middle of the values; the module `statistics` would cost the daemon 2 MB."""
    values.sort()
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
