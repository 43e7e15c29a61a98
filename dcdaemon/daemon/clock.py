"""The machine's own clocks."""

import time


class SystemClock:
    """Wall time for records, monotonic time for intervals."""

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never step."""
        return time.monotonic()
