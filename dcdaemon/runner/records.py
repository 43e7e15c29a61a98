"""The records of an attempt as values, and how they are read: suspicious or broken files count as absent."""

import json
import logging
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dcdaemon.core.errors import Refused
from dcdaemon.runner.cgroup import Cgroup

#: Of all records in an attempt's directory. New keys do not raise it; what an older release would misread does.
VERSION = 1
RECORD_MAX_BYTES = 64 * 1024

Record = TypeVar("Record")
Value = TypeVar("Value")

log = logging.getLogger(__name__)


class _NewerError(Exception):
    """A record of a version that this release does not know."""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Everything needed to run one attempt; `env` is the job's whole environment and is never shown.

    It is asked to save its work by `checkpoint_signal`, and `checkpoint_s` before its limit, where it wished for that.
    """

    job_id: int
    attempt: int
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(repr=False)
    uid: int
    gid: int
    log_path: str | None = None
    limit_s: float | None = None
    grace_s: float = 30.0
    umask: int = 0o022
    checkpoint_signal: str | None = None
    checkpoint_s: float | None = None
    log_limit_bytes: int | None = None
    cpus: int = 1
    mem_bytes: int = 0
    gpu_minors: tuple[int | None, ...] = ()
    gpu_instance: str | None = None
    extra_gids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Who runs an attempt, written by the shim before the job's first instruction; times in epoch seconds.

    `cgroup` is that of the job's unit, None where it has none.
    """

    job_id: int
    attempt: int
    launch: int
    shim_pid: int
    shim_start_ticks: int
    pid: int
    pid_start_ticks: int
    uid: int
    boot_id: str
    started_at: float
    cgroup: Cgroup | None = None


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How an attempt ended, written by the shim when the last process was gone.

    `started_at` is None for a job stopped before it ran. `exit_code` and `signal` are those of the main
    process, whatever the cause; `run_s` and the processor seconds count all of the job's processes.
    """

    job_id: int
    attempt: int
    launch: int
    cause: str
    exit_code: int | None
    signal: int | None
    started_at: float | None
    ended_at: float
    run_s: float | None
    error: str | None
    user_cpu_s: float
    system_cpu_s: float
    max_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over, and its end is on record."""

    record: ExitRecord


@dataclass(frozen=True, slots=True)
class Running:
    """The shim lives; `record` is None in the moment before the job itself starts."""

    record: RunRecord | None


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """No process of this attempt has run: a launch now is its first.

    `ready` when that is proven: its specification, which goes before a job is let run, stands there since this boot.
    """

    ready: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """The shim was killed, and these processes of the job still live."""

    record: RunRecord
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Vanished:
    """The attempt ran, nothing of it lives, and nothing tells how it ended: a reboot, or a killed shim."""

    record: RunRecord | None
    rebooted: bool


Outcome = Ended | Running | Unclaimed | Leftover | Vanished


def read_run_record(path: Path) -> RunRecord | None:
    """Read `state.json`; None when it is absent, broken or not the daemon's own; raises Refused when it is newer."""
    return _read(path, _parse_run)


def read_exit_record(path: Path) -> ExitRecord | None:
    """Read `exit.json`; None when it is absent, broken or not the daemon's own; raises Refused when it is newer."""
    return _read(path, _parse_exit)


def read_spec_boot(path: Path) -> str | None:
    """Read in which boot `spec.json` was written; None when there is none."""
    return _read(path, lambda document: _maybe(_text, document.get("boot_id")))


def read_stop_grace_s(path: Path) -> float | None:
    """Read the grace in `stop.json`, in seconds; None when no stop was requested yet."""
    return _read(path, lambda document: _seconds(document["grace_s"]))


def write_private(path: Path, document: Mapping[str, object]) -> None:
    """Put a JSON document in place in one step, readable by the daemon's user alone."""
    draft = path.with_name(path.name + ".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(json.dumps(document))  # in one go: several times faster than json.dump
    draft.rename(path)


def _read(path: Path, parse: Callable[[dict[str, Any]], Record]) -> Record | None:
    try:
        return parse(_load(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except _NewerError as error:
        raise Refused(
            f"{path} was written by a newer release of dcdaemon: {error}",
            "run that release again until this job has ended; nothing was changed",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("record unreadable: %s: %r", path, error, extra={"action": "record_unreadable"})
        return None


def _load(path: Path) -> dict[str, Any]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ValueError("not a regular file of the daemon's user")
        blob = file.read(RECORD_MAX_BYTES + 1)
    if len(blob) > RECORD_MAX_BYTES:
        raise ValueError(f"longer than {RECORD_MAX_BYTES} bytes")
    document = json.loads(blob)
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError("not an object with a version")
    if version > VERSION:
        raise _NewerError(f"it has version {version}, and this release reads up to {VERSION}")
    return document  # type: ignore[no-any-return]


def _parse_run(document: dict[str, Any]) -> RunRecord:
    whole = {
        key: _whole(document[key])
        for key in (
            "job_id",
            "attempt",
            "launch",
            "shim_pid",
            "shim_start_ticks",
            "pid",
            "pid_start_ticks",
            "uid",
        )
    }
    return RunRecord(
        **whole, boot_id=_text(document["boot_id"]), started_at=_seconds(document["started_at"]),
        cgroup=_maybe(_cgroup, document.get("cgroup")),
    )  # fmt: skip


def _parse_exit(document: dict[str, Any]) -> ExitRecord:
    usage = document["rusage"]
    return ExitRecord(
        job_id=_whole(document["job_id"]),
        attempt=_whole(document["attempt"]),
        launch=_whole(document["launch"]),
        cause=_text(document["cause"]),
        exit_code=_maybe(_whole, document["exit_code"]),
        signal=_maybe(_whole, document["signal"]),
        started_at=_maybe(_seconds, document["started_at"]),
        ended_at=_seconds(document["ended_at"]),
        run_s=_maybe(_seconds, document["run_s"]),
        error=_maybe(_text, document["error"]),
        user_cpu_s=_seconds(usage["user_cpu_s"]),
        system_cpu_s=_seconds(usage["system_cpu_s"]),
        max_rss_bytes=_whole(usage["max_rss_bytes"]),
    )


def _cgroup(value: object) -> Cgroup:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not a control group")  # noqa: TRY004  as in _text
    path = _text(value["path"])
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not the path of a control group")
    return Cgroup(path, _whole(value["inode"]))


def _maybe(parse: Callable[[object], Value], value: object) -> Value | None:
    return None if value is None else parse(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{value!r} is not a number of seconds")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")  # noqa: TRY004  one error type for every kind of garbage
    return value
