"""What each job used of the GPUs it held: utilisation, the time it is known for, and peak memory."""

from collections.abc import Iterable, Iterator, Sequence

from dcdaemon.core.energy import IDLE
from dcdaemon.core.ports import UsageDelta
from dcdaemon.core.samples import GpuSample
from dcdaemon.energy.attribute import Holding, held_seconds


def usage_deltas(samples: Iterable[GpuSample], holdings: Sequence[Holding], dt_s: float) -> list[UsageDelta]:
    """Return what each job used in the `dt_s` seconds before each sample; give every sample only once."""
    return merge(delta for sample in samples for delta in _of_sample(sample, holdings, dt_s))


def merge(deltas: Iterable[UsageDelta]) -> list[UsageDelta]:
    """Add up the deltas of each job, by job id; memory is the largest peak that one GPU showed."""
    merged: dict[int, UsageDelta] = {}
    for delta in deltas:
        sum_so_far = merged.get(delta.job_id, UsageDelta(delta.job_id, 0.0, 0.0, None))
        merged[delta.job_id] = _add(sum_so_far, delta)
    return [merged[job_id] for job_id in sorted(merged)]


def _of_sample(sample: GpuSample, holdings: Sequence[Holding], dt_s: float) -> Iterator[UsageDelta]:
    owners = {holding.job_id for holding in holdings if _holds_at(holding, sample)}
    # What others hold of a GPU that is cut by MIG is in its sum, too.
    shared = len(owners) > 1 or any(process.instance is not None for process in sample.processes or ())
    for job_id, held_s in held_seconds(sample.gpu, sample.at - dt_s, sample.at, holdings).items():
        if job_id == IDLE:
            continue
        sampled_s = 0.0 if sample.util_ratio is None else held_s
        memory = _of_job(sample, job_id) if shared else sample.mem_used_bytes
        memory = memory if job_id in owners else None
        yield UsageDelta(job_id, sampled_s * (sample.util_ratio or 0.0), sampled_s, memory)


def _of_job(sample: GpuSample, job_id: int) -> int | None:
    """Return what one of several jobs on a GPU holds of its memory: what its processes do, as far as they are known."""
    amounts = [process.mem_used_bytes for process in sample.processes or () if process.job_id == job_id]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _holds_at(holding: Holding, sample: GpuSample) -> bool:
    # A job that ended before the sample was taken does not own the memory the sample shows.
    return holding.gpu == sample.gpu and (holding.to_at is None or holding.to_at >= sample.at)


def _add(one: UsageDelta, other: UsageDelta) -> UsageDelta:
    peaks = [peak for peak in (one.mem_peak_bytes, other.mem_peak_bytes) if peak is not None]
    return UsageDelta(
        job_id=one.job_id,
        util_s=one.util_s + other.util_s,
        sampled_s=one.sampled_s + other.sampled_s,
        mem_peak_bytes=max(peaks, default=None),
    )
