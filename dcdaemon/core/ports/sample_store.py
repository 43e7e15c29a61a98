"""The part of the store that keeps samples."""

from collections.abc import Sequence
from typing import Protocol

from dcdaemon.core.gpu import GpuSpeed
from dcdaemon.core.samples import AnySample, GpuSample


class SampleStore(Protocol):
    """Samples of GPUs and of all other hardware."""

    def record(self, samples: Sequence[AnySample]) -> None:
        """Keep samples; never blocks on a slow database: a bounded buffer drops the oldest and counts them."""
        ...

    def flush_samples(self) -> None:
        """Write the buffered samples now."""
        ...

    def gpu_samples(self, gpu: int, since: float, until: float) -> list[GpuSample]:
        """Return the stored samples of one GPU, oldest first."""
        ...

    def gpu_speeds(self, since: float) -> list[GpuSpeed]:
        """Return how fast each GPU of this node was since then while it was busy, by index."""
        ...
