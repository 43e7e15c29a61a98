"""What may be given to jobs: health, the operator's marks and foreign processes, folded into scheduler slots."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from dcdaemon.anomalies.work import process_name
from dcdaemon.control.topology import neighbourhoods
from dcdaemon.core.gpu import GpuHealth, GpuProcess, gpu_instance
from dcdaemon.core.job import Job
from dcdaemon.core.ports import GpuMark
from dcdaemon.core.samples import CLOCK_EVENT_BITS, GpuReading, GpuSample, MigSample
from dcdaemon.core.units import format_bytes, format_duration
from dcdaemon.core.view import GpuBlock, GpuInstance, GpuSlot

#: What speaks against a GPU, the weightiest first; no number of lighter ones outweighs a heavier one.
_FAILING, _HELD_DOWN, _HOT, _SLOW, _CORRECTED = 16, 8, 4, 2, 1
#: Reasons of slow clocks that are the GPU's own: heat and power that it does not get; a power limit is everybody's.
_SLOWED = sum(bit for bit, name in CLOCK_EVENT_BITS.items() if name.startswith(("hw_", "sw_thermal")))
#: So few degrees below the first slowdown is near it.
_NEAR_LIMIT_C = 5.0


def attribute_processes(reading: GpuReading, owners: Mapping[int, int], gone: Collection[int] = ()) -> GpuReading:
    """Write the owning job into every process of the reading, and drop those that are gone since it was made.

    `owners` maps pid to job id. A dead process has no parent to tell its job by, and would look like a stranger's.
    """

    def owned(sample: GpuSample) -> GpuSample:
        if not sample.processes:
            return sample
        alive = [process for process in sample.processes if process.pid not in gone]
        return replace(sample, processes=tuple(replace(p, job_id=owners.get(p.pid)) for p in alive))

    return replace(reading, samples=tuple(owned(sample) for sample in reading.samples))


def mark_strays(reading: GpuReading, jobs: Iterable[Job]) -> GpuReading:
    """Mark what a job runs on GPUs that were not given to it: a program that takes no notice of its environment."""
    given = {job.id: job for job in jobs}

    def strays(sample: GpuSample, process: GpuProcess) -> bool:
        job = None if process.job_id is None else given.get(process.job_id)
        if job is None:
            return False
        return sample.gpu not in job.gpus or (process.instance is not None and process.instance != job.gpu_instance)

    def marked(sample: GpuSample) -> GpuSample:
        if not any(strays(sample, process) for process in sample.processes or ()):
            return sample
        return replace(sample, processes=tuple(replace(p, stray=strays(sample, p)) for p in sample.processes or ()))

    return replace(reading, samples=tuple(marked(sample) for sample in reading.samples))


def health(gpu: int, reading: GpuReading) -> GpuHealth:
    """Tell whether a GPU answers: lost, stale (no fresh sample) or ok."""
    sample = next((sample for sample in reading.samples if sample.gpu == gpu), None)
    if gpu in reading.lost or (sample is not None and sample.error == "lost"):
        return GpuHealth.LOST
    return GpuHealth.OK if sample is not None and sample.error is None else GpuHealth.STALE


def foreign(sample: GpuSample | None, allowed: Collection[str]) -> list[GpuProcess]:
    """List the processes on a GPU that belong to no job it was given to, and that no operator allowed by name."""
    if sample is None or not sample.processes:
        return []
    return [
        process
        for process in sample.processes
        if (process.job_id is None or process.stray) and process_name(process.command) not in allowed
    ]


def instances(gpu: int, reading: GpuReading, allowed: Collection[str]) -> tuple[GpuInstance, ...] | None:
    """Return the MIG instances of a GPU that is cut, each with what is in its way; None for a whole one.

    Compute instances of one GPU instance share its memory, and the driver tells of each that it has it all: here each
    has an equal part, and what is in the way of one is in the way of all.
    """
    if gpu not in reading.cut:
        return None
    sample = next((sample for sample in reading.samples if sample.gpu == gpu), None)
    strangers = {
        gpu_instance(process.instance): process for process in reversed(foreign(sample, allowed)) if process.instance
    }
    read = [mig for mig in reading.migs if mig.gpu == gpu]
    unread = [mig for mig in reading.unread if mig.gpu == gpu]
    sharing = Counter(gpu_instance(mig.instance) for mig in (*read, *unread))

    def made(mig: MigSample, block: tuple[GpuBlock | None, str]) -> GpuInstance:
        parts = sharing[gpu_instance(mig.instance)]
        return GpuInstance(mig.instance, mig.mem_total_bytes and mig.mem_total_bytes // parts, *block)

    return (
        *(made(mig, _block_of_instance(strangers.get(gpu_instance(mig.instance)))) for mig in read),
        *(made(mig, (GpuBlock.HEALTH, "does not answer")) for mig in unread),
    )


def slots(
    reading: GpuReading, marks: Mapping[int, GpuMark], allowed: Collection[str], slow: Collection[int] = ()
) -> tuple[GpuSlot, ...]:
    """Return every GPU as the scheduler sees it; `slow` are those that were slower than others of their model."""
    samples, places = {sample.gpu: sample for sample in reading.samples}, neighbourhoods(reading.gpus)
    return tuple(
        GpuSlot(
            gpu.index, gpu.mem_total_bytes, *_block(gpu.index, reading, samples.get(gpu.index), marks, allowed),
            neighbourhood=places[gpu.index],
            penalty=penalty(samples.get(gpu.index)) + _SLOW * (gpu.index in slow),
            mem_used_bytes=used.mem_used_bytes if (used := samples.get(gpu.index)) is not None else None,
            instances=instances(gpu.index, reading, allowed),
        )
        for gpu in reading.gpus
    )  # fmt: skip


def penalty(sample: GpuSample | None) -> int:
    """Return how much speaks against giving a job this GPU while others are free; 0 for one in good order.

    Signs of failing memory weigh more than a clock that is held down now, and that more than heat.
    """
    if sample is None:
        return 0
    return (
        _FAILING * any((sample.row_remap_pending, sample.row_remap_failed, sample.recovery_action))
        + _HELD_DOWN * bool((sample.clock_event_reasons or 0) & _SLOWED)
        + _HOT * (sample.temp_margin_c is not None and sample.temp_margin_c < _NEAR_LIMIT_C)
        + _CORRECTED * bool(sample.ecc_corrected_volatile)
    )


def _block(
    gpu: int, reading: GpuReading, sample: GpuSample | None, marks: Mapping[int, GpuMark], allowed: Collection[str]
) -> tuple[GpuBlock | None, str]:
    mark = marks.get(gpu)
    if mark is not None and mark.drained is not None:
        return GpuBlock.DRAINED, mark.drained
    state = health(gpu, reading)
    if state is not GpuHealth.OK:
        return GpuBlock.HEALTH, reading.driver_error or ("lost" if state is GpuHealth.LOST else "no fresh sample")
    known = {mig.instance for mig in (*reading.migs, *reading.unread) if mig.gpu == gpu}
    # One in a MIG instance is in the way of nobody else.
    strangers = [process for process in foreign(sample, allowed) if process.instance not in known]
    return (GpuBlock.FOREIGN, _words(strangers[0])) if strangers else (None, "")


def _block_of_instance(stranger: GpuProcess | None) -> tuple[GpuBlock | None, str]:
    return (None, "") if stranger is None else (GpuBlock.FOREIGN, _words(stranger))


def _words(process: GpuProcess) -> str:
    where = f", in {process.container.label}" if process.container else ""
    where += f", of job {process.job_id}" if process.stray else ""
    return (
        f"pid {process.pid} ({process.command or '?'}, {process.user or '?'}, {format_duration(process.age_s)}, "
        f"{format_bytes(process.mem_used_bytes)}{where})"
    )
