"""Notices when somebody, or a time server, sets the wall clock."""

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.ports import Clock
from dcdaemon.core.units import format_duration

_STEP_S = 1.0


class ClockSteps:
    """Compares the wall clock with the monotonic one, from look to look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s: float | None = None
        #: By how much the last step set it, in seconds.
        self.step_s = 0.0

    def look(self) -> Event | None:
        """Return what has to be told when the wall clock stepped by more than a second since the last look."""
        before_s, now, after_s = self._clock.monotonic(), self._clock.now(), self._clock.monotonic()
        if after_s - before_s > _STEP_S / 2:
            return None  # the process had to wait between its questions: what they say does not belong together
        known, self._offset_s = self._offset_s, now - before_s
        step_s = 0.0 if known is None else self._offset_s - known
        if abs(step_s) <= _STEP_S:
            return None
        self.step_s = step_s
        way = "forward" if step_s > 0 else "back"
        message = (
            f"the wall clock went {way} by {format_duration(abs(step_s))}: it was set, or the machine slept; "
            "times recorded before do not fit those recorded after"
        )
        return Event(now, EventKind.CLOCK_STEPPED, "clock", message, {"step_s": round(step_s, 3)})
