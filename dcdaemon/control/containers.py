"""Whose container it is that holds a GPU: the runtime started it, so its process stands below no job.

A container belongs to a job only where all of this holds: the job holds the GPU, the container began after it, and
whoever runs the container is root's runtime or the job's own user. Then its environment decides (`DCD_JOB_ID`), and
without that mark the GPU does, if the job has it for itself. Anything else is a foreign process. Whoever may start
containers of a runtime that runs as root is root, and could deceive more than this.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from dcdaemon.core.container import Container
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import Job
from dcdaemon.core.samples import GpuReading, GpuSample

BY_MARK, BY_GPU = "mark", "gpu"
#: Clocks of processes tick in hundredths of a second, and the age of one is rounded.
_SLACK_S = 1.0


def attribute_containers(
    reading: GpuReading, containers: Mapping[int, Container], jobs: Iterable[Job], now: float
) -> GpuReading:
    """Write its container into each process that is in one, and the job it belongs to."""
    if not containers:
        return reading
    active = list(jobs)

    def known(sample: GpuSample, process: GpuProcess) -> GpuProcess:
        container = containers.get(process.pid)
        if container is None or process.job_id is not None:
            return process
        began_at = None if process.age_s is None else now - process.age_s
        there = [job for job in active if _is_given(job, sample.gpu, process.instance)]
        job_id, by = owner(container, there, began_at) or (None, None)
        return replace(process, container=container, job_id=job_id, job_by=by)

    def seen(sample: GpuSample) -> GpuSample:
        if not sample.processes:
            return sample
        return replace(sample, processes=tuple(known(sample, process) for process in sample.processes))

    return replace(reading, samples=tuple(seen(sample) for sample in reading.samples))


def owner(container: Container, on_gpu: Sequence[Job], began_at: float | None) -> tuple[int, str] | None:
    """Return which job of a GPU, or a MIG instance, a container there belongs to, and by what; None for a foreign."""
    possible = [job for job in on_gpu if _may_own(job, container, began_at)]
    if container.names_job is not None:
        return next(((job.id, BY_MARK) for job in possible if job.id == container.names_job), None)
    if len(on_gpu) == 1 and possible and not possible[0].is_sharing:
        return possible[0].id, BY_GPU
    return None


def _is_given(job: Job, gpu: int, instance: str | None) -> bool:
    return gpu in job.gpus and (job.gpu_instance is None or job.gpu_instance == instance)


def _may_own(job: Job, container: Container, began_at: float | None) -> bool:
    in_time = job.started_at is not None and began_at is not None and began_at >= job.started_at - _SLACK_S
    return in_time and container.owner_uid in (0, job.spec.uid)


def disowned(reading: GpuReading, active: Collection[int]) -> GpuReading:
    """Take containers away from jobs that have ended: what survives its job is foreign from that moment on."""

    def checked(process: GpuProcess) -> GpuProcess:
        over = process.container is not None and process.job_id is not None and process.job_id not in active
        return replace(process, job_id=None, job_by=None) if over else process

    def seen(sample: GpuSample) -> GpuSample:
        if not sample.processes or all(checked(process) is process for process in sample.processes):
            return sample
        return replace(sample, processes=tuple(checked(process) for process in sample.processes))

    return replace(reading, samples=tuple(seen(sample) for sample in reading.samples))
