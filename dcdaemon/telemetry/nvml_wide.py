"""Lengthens a driver's counter of 32 bits that may wrap several times between two readings."""

from collections.abc import Callable

_TURN = 2**32


class WideCounter:
    """Grows from 0 by what the raw counter moved, plus as many whole turns as the rate measured beside it asks for.

    It does not begin at the raw value: that would be growth nobody saw, up to 4 GiB with each new reader. At 50 GB/s,
    a counter of bytes turns twelve times a second: without a rate nobody can tell how often it did, and then it is
    unknown rather than wrong.
    """

    def __init__(self, rate_per_s: Callable[[], float | None], monotonic: Callable[[], float]) -> None:
        self._rate_per_s, self._monotonic = rate_per_s, monotonic
        self._total = 0
        self._last: tuple[int, float] | None = None

    def __call__(self, raw: int) -> int | None:
        """Return the lengthened counter; what moved over a reading without a rate is not counted."""
        now_s, rate_per_s = self._monotonic(), self._rate_per_s()
        if rate_per_s is None:
            self._last = None
            return None
        if self._last is not None:
            raw_before, then_s = self._last
            moved = (raw - raw_before) % _TURN
            turns = round((rate_per_s * (now_s - then_s) - moved) / _TURN)
            self._total += moved + max(turns, 0) * _TURN
        self._last = raw, now_s
        return self._total
