"""Rules on what runs: jobs that idle, jobs that crash, processes of others."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath
from signal import Signals

from dcdaemon.anomalies.picture import Allocation, EndedJob, NodePicture, Sign, Thresholds, UtilWindow
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.units import format_bytes, format_duration

#: At least this share of the window must be known before a GPU may be called idle.
IDLE_KNOWN_RATIO = 0.5
#: A process this young may be a job's own that has not been matched with its job yet.
FOREIGN_SETTLE_S = 5.0
#: How jobs end that ended by themselves, and badly.
CRASHED = frozenset({JobState.FAILED, JobState.OUT_OF_MEMORY})


def idle_gpu(picture: NodePicture, open_: AbstractSet[str]) -> Iterator[Sign]:
    """Find GPUs that a job holds and does not use; unknown utilisation is not idleness."""
    for gpu, holder in sorted(picture.allocations.items()):
        window = picture.util_windows.get(gpu)
        subject = f"gpu {gpu}, job {holder.job_id}"
        if window is None or window.job_id != holder.job_id:
            window = UtilWindow(holder.job_id, 0.0, 0.0, None, None)
        idle = _still_idle if subject in open_ else _idle
        if idle(window, picture.thresholds):
            yield _idle_sign(subject, gpu, holder, window, picture)


def _idle(window: UtilWindow, thresholds: Thresholds) -> bool:
    return (
        window.span_s >= thresholds.idle_after_s
        and window.known_s >= IDLE_KNOWN_RATIO * thresholds.idle_after_s
        and window.max_ratio is not None
        and window.max_ratio < thresholds.idle_below_ratio
    )


def _still_idle(window: UtilWindow, thresholds: Thresholds) -> bool:
    # One busy second in many idle minutes is no work, and a window just begun (a restart) proves nothing.
    return window.mean_ratio is None or window.mean_ratio < thresholds.idle_below_ratio


def _idle_sign(subject: str, gpu: int, holder: Allocation, window: UtilWindow, picture: NodePicture) -> Sign:
    held = format_duration(max(picture.at - holder.since, 0.0))
    message = (
        f"gpu {gpu} has been idle for {format_duration(window.span_s)} "
        f"while job {holder.job_id} ({holder.name}) of {holder.user} holds it, {held} so far: "
        f"mean {_percent(window.mean_ratio)}, highest {_percent(window.max_ratio)}"
    )
    evidence: dict[str, object] = {
        "window_s": window.span_s,
        "known_s": window.known_s,
        "mean_ratio": window.mean_ratio,
        "max_ratio": window.max_ratio,
        "below_ratio": picture.thresholds.idle_below_ratio,
        "held_since": holder.since,
        "user": holder.user,
    }
    return Sign(subject, message, evidence, holder.job_id, gpu)


def foreign_process(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find processes on a GPU that no job of ours owns and that are not on the allow-list."""
    for gpu, sample in sorted(picture.samples.items()):
        for process in sample.processes or ():
            if _foreign(process, picture.foreign_ok):
                yield _foreign_sign(gpu, process)


def _foreign(process: GpuProcess, allowed: AbstractSet[str]) -> bool:
    if (process.job_id is not None and not process.stray) or process_name(process.command) in allowed:
        return False
    if process.container is not None:
        return True  # what the control group tells needs no second look
    return process.age_s is None or process.age_s >= FOREIGN_SETTLE_S


def process_name(command: str | None) -> str | None:
    """Return the bare name of the program in a command line, as the allow-list names it."""
    words = (command or "").split()
    return PurePosixPath(words[0]).name if words else None


def _foreign_sign(gpu: int, process: GpuProcess) -> Sign:
    name = process_name(process.command) or "unknown program"
    memory = format_bytes(process.mem_used_bytes) if process.mem_used_bytes is not None else "unknown memory"
    age = f" for {format_duration(process.age_s)}" if process.age_s is not None else ""
    instance = f" (MIG instance {process.instance})" if process.instance is not None else ""
    message = (
        f"gpu {gpu}{instance} is used{age} by a process {_whose(process)}: "
        f"pid {process.pid} ({name}) of {process.user or 'an unknown user'}, {memory}{_in_container(process)}"
    )
    evidence: dict[str, object] = {
        "pid": process.pid,
        "user": process.user,
        "command": process.command,
        "age_s": process.age_s,
        "mem_used_bytes": process.mem_used_bytes,
        "container": process.container.label if process.container else None,
        "names_job": process.container.names_job if process.container else None,
    }
    return Sign(f"gpu {gpu}, pid {process.pid}", message, evidence, process.job_id, gpu)


def _whose(process: GpuProcess) -> str:
    return f"of job {process.job_id}, which it was not given to" if process.stray else "outside the queue"


def _in_container(process: GpuProcess) -> str:
    """Return the container, the job that it names and does not belong to (it ended, say), and what ends it."""
    container = process.container
    if container is None:
        return ""
    job = "" if container.names_job is None else f", which names job {container.names_job} in its environment"
    end = f"; {container.stop_command} ends it" if container.stop_command else ""
    return f", in container {container.label}{job}{end}"


def job_crashed(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find jobs that ended by themselves with an exit code or a signal, not those that somebody stopped.

    A job that hangs up with its terminal has lost its user, and nothing is wrong with it.
    """
    for ended in picture.ended:
        if ended.job.state in CRASHED and _exit(ended.job) and ended.job.signal != Signals.SIGHUP:
            yield _crash_sign(ended)


def _crash_sign(ended: EndedJob) -> Sign:
    job = ended.job
    ran = f" after {format_duration(job.run_s)}" if job.run_s is not None else ""
    message = f"job {job.id} ({job.spec.name}) of {job.spec.user} crashed{ran}: {_exit(job)}{_more(job)}"
    evidence: dict[str, object] = {
        "exit_code": job.exit_code,
        "signal": job.signal,
        "cause": job.cause,
        "run_s": job.run_s,
        "attempt": job.attempt,
        "gpus": list(job.gpus),
        "uid": job.spec.uid,
        # Only for the owner and for operators: the API leaves it out for others, as it refuses them the log.
        "log_tail": list(ended.log_tail),
    }
    return Sign(crash_subject(job), message, evidence, job.id)


def crash_subject(job: Job) -> str:
    """Name a crash: each attempt has its own."""
    return f"job {job.id}, attempt {job.attempt}"


def _exit(job: Job) -> str | None:
    out_of_memory = ", out of memory" if job.state is JobState.OUT_OF_MEMORY else ""
    if job.signal:
        return f"killed by {_signal_name(job.signal)}{out_of_memory}"
    if job.exit_code:
        return f"exit code {job.exit_code}{out_of_memory}"
    return None


def _more(job: Job) -> str:
    """Return the cause where it tells more than the exit code: a program that was not found, say."""
    plain = job.cause is None or job.cause.startswith(("exit code ", "killed by signal ")) or job.cause == job.state
    return "" if plain else f" ({job.cause})"


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _percent(ratio: float | None) -> str:
    return "unknown" if ratio is None else f"{ratio:.1%}".replace("%", " %")
