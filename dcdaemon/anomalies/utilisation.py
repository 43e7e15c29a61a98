"""Remembers the newest utilisation of each held GPU, as far back as the idle rule looks."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dcdaemon.anomalies.picture import Allocation, UtilWindow
from dcdaemon.core.samples import GpuSample

#: A reading stands for the time since the one before it, but not for a silence longer than this.
MAX_SAMPLE_S = 30.0


@dataclass(slots=True)
class _Track:
    job_id: int
    began_s: float
    newest_s: float
    points: deque[tuple[float, float, float]] = field(default_factory=deque)  # end, length, util


class UtilHistory:
    """A fold over samples; a GPU's history begins anew with each job, so a young job has a short window."""

    def __init__(self, keep_s: float) -> None:
        """Keep this many seconds."""
        self.keep_s = keep_s
        self._tracks: dict[int, _Track] = {}

    def add(self, samples: Iterable[GpuSample], allocations: Mapping[int, Allocation]) -> None:
        """Take in the newest samples; repeated ones and those of GPUs that no job holds are passed over."""
        for gpu in self._tracks.keys() - allocations.keys():
            del self._tracks[gpu]
        for sample in samples:
            if sample.gpu in allocations:
                self._add_one(sample, allocations[sample.gpu].job_id)

    def windows(self) -> dict[int, UtilWindow]:
        """Return the window of each held GPU, by its index; safe while another thread adds."""
        return {gpu: _window(track, self.keep_s) for gpu, track in tuple(self._tracks.items())}

    def _add_one(self, sample: GpuSample, job_id: int) -> None:
        track = self._tracks.get(sample.gpu)
        if track is None or track.job_id != job_id:
            self._tracks[sample.gpu] = _Track(job_id, sample.monotonic_s, sample.monotonic_s)
            return
        length_s = sample.monotonic_s - track.newest_s
        if length_s <= 0:
            return
        track.newest_s = sample.monotonic_s
        if sample.util_ratio is not None:
            track.points.append((sample.monotonic_s, min(length_s, MAX_SAMPLE_S), sample.util_ratio))
        while track.points and track.points[0][0] <= track.newest_s - self.keep_s:
            track.points.popleft()


def _window(track: _Track, keep_s: float) -> UtilWindow:
    points = tuple(track.points)  # at once: the thread that polls adds to it
    known_s = sum(length_s for _, length_s, _ in points)
    busy_s = sum(length_s * util for _, length_s, util in points)
    return UtilWindow(
        job_id=track.job_id,
        span_s=min(track.newest_s - track.began_s, keep_s),
        known_s=known_s,
        mean_ratio=busy_s / known_s if known_s else None,
        max_ratio=max((util for _, _, util in points), default=None),
    )
