"""The samples of MemoryStore, those of GPUs alone: no others are ever asked for."""

from collections.abc import Sequence
from dataclasses import replace

from dcdaemon.core.gpu import BUSY_RATIO, GpuSpeed
from dcdaemon.core.samples import AnySample, GpuSample
from dcdaemon.fakes.memory import Memory


class MemorySamples(Memory):
    """Samples of GPUs: one a second of each, readable once they are flushed."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self._buffer: list[GpuSample] = []
        self._samples: dict[tuple[int, int], GpuSample] = {}  # GPU, second

    def record(self, samples: Sequence[AnySample]) -> None:
        """Keep GPU samples until the next flush; the others are never asked for."""
        with self._lock:
            self._buffer.extend(sample for sample in samples if isinstance(sample, GpuSample))

    def flush_samples(self) -> None:
        """Make the buffered samples readable."""
        with self._lock:
            for sample in self._buffer:
                second = int(sample.at)
                kept = replace(sample, at=float(second), monotonic_s=0.0, processes=None)
                self._samples[sample.gpu, second] = kept
            self._buffer.clear()

    def gpu_samples(self, gpu: int, since: float, until: float) -> list[GpuSample]:
        """Return the stored samples of one GPU, oldest first."""
        with self._lock:
            found = [sample for (index, at), sample in self._samples.items() if index == gpu and since <= at <= until]
        return sorted(found, key=lambda sample: sample.at)

    def gpu_speeds(self, since: float) -> list[GpuSpeed]:
        """Return how fast each GPU was since then while it was busy; minutes are folded when they are asked for."""
        minutes: dict[tuple[int, int], list[GpuSample]] = {}
        with self._lock:
            for (gpu, at), sample in self._samples.items():
                if at >= since and not sample.simulated:
                    minutes.setdefault((gpu, int(at // 60)), []).append(sample)
        clocks: dict[int, list[float]] = {}
        for (gpu, _), samples in sorted(minutes.items()):
            known = [sample.sm_clock_hz for sample in samples if sample.sm_clock_hz is not None]
            used = [sample.util_ratio for sample in samples if sample.util_ratio is not None]
            if known and used and min(used) >= BUSY_RATIO:
                clocks.setdefault(gpu, []).append(sum(known) / len(known))
        return [GpuSpeed(gpu, len(hz), sum(hz) / len(hz)) for gpu, hz in sorted(clocks.items())]
