"""The GPU source of a node that is not for computing: no driver is loaded, and none is missed."""

from dcdaemon.core.samples import GpuReading


class NoGpus:
    """Implements GpuSource; there is never a GPU."""

    def start(self) -> None:
        """Begin nothing."""

    def wait_known(self, timeout_s: float) -> bool:  # noqa: ARG002  known at once
        """Return at once: it is known that there is none."""
        return True

    def read(self) -> GpuReading:
        """Return that there is none, and no reason to worry."""
        return GpuReading((), ())

    def release(self, for_s: float) -> None:
        """Let go of nothing."""

    def close(self) -> None:
        """End nothing."""
