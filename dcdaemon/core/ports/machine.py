"""What is read of the machine: time, its GPUs, its own sensors."""

from typing import Protocol

from dcdaemon.core.samples import GpuReading, HostReading


class Clock(Protocol):
    """Time, as an argument: wall time for records, monotonic time for intervals."""

    def now(self) -> float:
        """Return epoch seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never step."""
        ...


class GpuSource(Protocol):
    """GPUs, real or simulated; `read` never blocks on a driver."""

    def start(self) -> None:
        """Begin polling."""
        ...

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until every GPU was read once or it is clear that there is none; False after the timeout."""
        ...

    def read(self) -> GpuReading:
        """Return the newest readings."""
        ...

    def release(self, for_s: float) -> None:
        """Let go of the driver so that it can be reloaded; polling begins again after `for_s`, 0 begins it now."""
        ...

    def close(self) -> None:
        """Stop polling and let go of the driver, within a second."""
        ...


class HostSource(Protocol):
    """The host's own sensors."""

    def read(self) -> HostReading:
        """Read them now; a mount that does not answer is reported, never waited for."""
        ...
