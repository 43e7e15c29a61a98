"""Jobs that a restored database is behind on, told by their directories: for when no other database can be read."""

import os
import pwd
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dcdaemon.core.job import ACTIVE, Job, JobSpec, JobState
from dcdaemon.runner.attempt import AttemptDirectory
from dcdaemon.runner.on_disk import job_ids, newest_attempt
from dcdaemon.runner.processes import Identity
from dcdaemon.runner.records import Leftover, Running, Unclaimed

_GPUS, _GPU_MEM, _GPU_INSTANCE = "DCD_GPUS", "DCD_GPU_MEM_BYTES", "DCD_GPU_INSTANCE"
#: GPU instance and compute instance, as NVML numbers them.
_INSTANCE = re.compile(r"\d{1,2}/\d{1,2}")
_UNKNOWN = "(not in the backup)"


def behind(state_dir: Path, node: str, known: dict[int, Job]) -> list[Job]:
    """Return the jobs whose latest attempt the database does not know, as the next start has to find them.

    Each stands as starting: the daemon then asks its shim or its records what became of it, as after a crash. GPUs are
    those that a living attempt still has; a job that only its directory tells of lacks what nobody wrote down.
    """
    found = []
    for job_id in job_ids(state_dir):
        attempt, job = newest_attempt(state_dir, job_id), known.get(job_id)
        if attempt == 0 or (job is not None and attempt <= job.attempt):
            continue
        directory = AttemptDirectory(state_dir, job_id, attempt)
        if not isinstance(directory.outcome(), Unclaimed):
            found.append(_starting(job or _stranger(directory, node), directory))
    return _claimed(found, known)


def _starting(job: Job, directory: AttemptDirectory) -> Job:
    given = _given(directory)
    return replace(
        job, state=JobState.STARTING, version=job.version + 1, attempt=directory.attempt, gpus=given.gpus,
        gpu_instance=given.instance, held=False, started_at=None, ended_at=None, run_s=None, pid=None, exit_code=None,
        signal=None, cause=None, reported={},
    )  # fmt: skip


def _claimed(found: list[Job], known: dict[int, Job]) -> list[Job]:
    """Have jobs of the database let go of GPUs that a living attempt has now: theirs are over."""
    changed = {job.id for job in found}
    others = (job for job in known.values() if job.state in ACTIVE and job.id not in changed)
    lost = ((job, {gpu for other in found if not _beside(job, other) for gpu in other.gpus}) for job in others)
    return found + [
        replace(job, gpus=tuple(gpu for gpu in job.gpus if gpu not in taken), version=job.version + 1)
        for job, taken in lost
        if taken & set(job.gpus)
    ]


def _beside(job: Job, other: Job) -> bool:
    """Tell whether both may have the same GPU: each a share of it, or instances that are not the same."""
    share = job.spec.gpu_mem_bytes is not None and other.spec.gpu_mem_bytes is not None
    return share and (job.gpu_instance is None or job.gpu_instance != other.gpu_instance)


def _stranger(directory: AttemptDirectory, node: str) -> Job:
    """Return a job of which the database has never heard, with what its records and processes tell."""
    run, ended = directory.run_record(), directory.exit_record()
    uid = run.uid if run else 0
    at = next((moment for moment in (run and run.started_at, ended and ended.started_at) if moment), None)
    submitted_at = directory.path.stat().st_mtime if at is None else at
    given = _given(directory)
    spec = JobSpec(
        argv=_command(directory), cwd="/", uid=uid, gid=_gid(uid), user=_user(uid), name=f"job-{directory.job_id}",
        env_ref="", gpus=len(given.gpus), gpu_mem_bytes=given.mem_bytes,
    )  # fmt: skip
    return Job(
        directory.job_id, node, spec, JobState.WAITING, submitted_at, attempt=directory.attempt,
        queued_at=submitted_at,
    )  # fmt: skip


class _Given(NamedTuple):
    """The GPUs that an attempt was given, or what of one of them: so much memory, a MIG instance."""

    gpus: tuple[int, ...] = ()
    mem_bytes: int | None = None
    instance: str | None = None


def _given(directory: AttemptDirectory) -> _Given:
    """Return what the processes of a living attempt were given; nothing for one that is over."""
    if not isinstance(directory.outcome(), Running | Leftover):
        return _Given()
    for process in _own(directory):
        told = dict(word.decode("ascii", "replace").partition("=")[::2] for word in _read(process, "environ"))
        gpus = told.get(_GPUS, "").split(",")
        if all(part.isdecimal() for part in gpus):
            mem = told.get(_GPU_MEM, "")
            instance = told.get(_GPU_INSTANCE, "")
            return _Given(
                tuple(map(int, gpus)), int(mem) if mem.isdecimal() else None,
                instance if _INSTANCE.fullmatch(instance) else None,
            )  # fmt: skip
    return _Given()


def _command(directory: AttemptDirectory) -> tuple[str, ...]:
    for process in _own(directory):
        words = tuple(os.fsdecode(word) for word in _read(process, "cmdline") if word)
        if words:
            return words
    return (_UNKNOWN,)


def _own(directory: AttemptDirectory) -> tuple[Identity, ...]:
    """Return the attempt's processes, the job's main one first."""
    run = directory.run_record()
    return tuple(sorted(directory.processes(), key=lambda process: run is None or process.pid != run.pid))


def _read(process: Identity, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{process.pid}/{name}").read_bytes().split(b"\0")
    except OSError:
        return []


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _gid(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid
