"""GPU time by account and user: what fair-share is reckoned from."""

from collections.abc import Iterator
from dataclasses import dataclass

from dcdaemon.core.job import ACTIVE, Job

HOUR_S = 3600
#: An attempt is not reckoned back further than this, whatever a clock said.
_LONGEST_S = 400 * 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class GpuTime:
    """GPU seconds of one user under one account ("" for none), used around `at`, epoch seconds."""

    account: str
    user: str
    at: float
    gpu_s: float


def weight(gpus: int, gpu_mem_bytes: int | None, gpu_total_bytes: int | None) -> float:
    """Return how many GPUs a job counts as: whole ones, or the part of one whose memory it asked for."""
    if gpu_mem_bytes is None or not gpu_total_bytes:
        return float(gpus)
    return min(1.0, gpu_mem_bytes / gpu_total_bytes)


def attempt_span(before: Job, after: Job) -> tuple[float, float] | None:
    """Return from when to when the attempt that this change ends used its GPUs; None when none ends, or none ran."""
    if before.state not in ACTIVE or after.state in ACTIVE or after.ended_at is None or not after.gpus:
        return None
    begin = after.started_at if after.run_s is None else after.ended_at - after.run_s
    return (begin, after.ended_at) if begin is not None and begin < after.ended_at else None


def by_hour(from_at: float, to_at: float, gpus: float) -> Iterator[tuple[int, float]]:
    """Yield each hour (its first second) of a span of time with the GPU seconds used in it."""
    begin = max(from_at, to_at - _LONGEST_S)
    hour = int(begin // HOUR_S) * HOUR_S
    while hour < to_at:
        used_s = min(to_at, hour + HOUR_S) - max(begin, hour)
        if used_s > 0:
            yield hour, used_s * gpus
        hour += HOUR_S
