"""A clock that a test moves by hand."""


class FakeClock:
    """Stands still until told otherwise; wall time may step, monotonic time only advances."""

    def __init__(self, now: float = 1_700_000_000.0, monotonic: float = 1000.0) -> None:
        """Start at these epoch and monotonic seconds."""
        self._now_s = now
        self._monotonic_s = monotonic

    def now(self) -> float:
        """Return epoch seconds."""
        return self._now_s

    def monotonic(self) -> float:
        """Return seconds that never step."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks; raise ValueError for a negative time."""
        if seconds < 0:
            raise ValueError(f"time does not pass backwards: {seconds}")
        self._now_s += seconds
        self._monotonic_s += seconds

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back when negative, as an administrator or NTP would."""
        self._now_s += seconds
