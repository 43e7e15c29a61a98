"""Jobs that a restored database is behind on, told by their directories: for when no other database can be read."""

import os
import pwd
from dataclasses import replace
from pathlib import Path

from dcdaemon.core.job import ACTIVE, Job, JobSpec, JobState
from dcdaemon.runner.attempt import AttemptDirectory
from dcdaemon.runner.on_disk import job_ids, newest_attempt
from dcdaemon.runner.processes import Identity
from dcdaemon.runner.records import Leftover, Running, Unclaimed

_GPUS = b"DCD_GPUS="
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
    return replace(
        job, state=JobState.STARTING, version=job.version + 1, attempt=directory.attempt, gpus=_gpus(directory),
        held=False, started_at=None, ended_at=None, run_s=None, pid=None, exit_code=None, signal=None, cause=None,
        reported={},
    )  # fmt: skip


def _claimed(found: list[Job], known: dict[int, Job]) -> list[Job]:
    """Have jobs of the database let go of GPUs that a living attempt has now: theirs are over."""
    taken = {gpu for job in found for gpu in job.gpus}
    changed = {job.id for job in found}
    losers = (job for job in known.values() if job.state in ACTIVE and job.id not in changed and taken & set(job.gpus))
    return found + [
        replace(job, gpus=tuple(gpu for gpu in job.gpus if gpu not in taken), version=job.version + 1) for job in losers
    ]


def _stranger(directory: AttemptDirectory, node: str) -> Job:
    """Return a job of which the database has never heard, with what its records and processes tell."""
    run, ended = directory.run_record(), directory.exit_record()
    uid = run.uid if run else 0
    at = next((moment for moment in (run and run.started_at, ended and ended.started_at) if moment), None)
    submitted_at = directory.path.stat().st_mtime if at is None else at
    gpus = _gpus(directory)
    spec = JobSpec(
        argv=_command(directory), cwd="/", uid=uid, gid=_gid(uid), user=_user(uid), name=f"job-{directory.job_id}",
        env_ref="", gpus=len(gpus),
    )  # fmt: skip
    return Job(
        directory.job_id, node, spec, JobState.WAITING, submitted_at, attempt=directory.attempt,
        queued_at=submitted_at,
    )  # fmt: skip


def _gpus(directory: AttemptDirectory) -> tuple[int, ...]:
    """Return the GPUs that the processes of a living attempt were given; none for one that is over."""
    if not isinstance(directory.outcome(), Running | Leftover):
        return ()
    for process in _own(directory):
        words = _read(process, "environ")
        given = next((word[len(_GPUS) :].decode("ascii", "replace") for word in words if word.startswith(_GPUS)), "")
        if given and all(part.isdecimal() for part in given.split(",")):
            return tuple(int(part) for part in given.split(","))
    return ()


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
