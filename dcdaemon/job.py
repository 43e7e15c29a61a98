"""What a job can tell the daemon that runs it (progress, checkpoints), and ask about itself (id, GPUs, deadline)."""

import contextlib
import json
import math
import os
import sys
import time

__all__ = ["checkpoint_saved", "deadline", "gpus", "job_id", "report", "should_checkpoint"]

# The daemon skips longer lines, and a short one reaches the file whole in a single write.
LINE_LIMIT_BYTES = 64 * 1024

LOOK_EVERY_S = 1.0

_already_warned = False


class _Notice:
    """The file that tells by when the job has to be done, looked for at most once a second."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.look_again_s = 0.0
        self.announced = False


# Of the process, and of every process forked from it: a look more or less does no harm, so there is no lock.
_notice = _Notice()


def report(step: int | None = None, **values: float | str) -> None:
    """Append one line of progress, such as `report(step=3, loss=0.12, accuracy=0.97)`, to this job's report.

    A no-op outside a job. Safe to call from several threads and from forked processes at once: every call is
    one append of one whole line. NaN and infinity are stored as null, because JSON has no word for them: a
    value that is null was reported but was no number, one that is absent was not reported.

    A report that cannot be written (disk full, line over 64 KiB) is dropped with one warning on stderr: it
    never ends a training run. A step or value of another type is a mistake in the calling code and raises
    TypeError, in a job or not; an integer that needs more than 64 bits raises OverflowError.
    """
    if step is not None and not isinstance(step, int):
        raise TypeError(_wrong_type("step", step, "an int or None"))
    plain = {name: _plain(name, value) for name, value in values.items()}
    path = os.environ.get("DCD_REPORT_PATH")
    if not path:
        return
    record = {"t": time.time(), "step": None if step is None else _plain("step", step), "values": plain}
    line = json.dumps(record, allow_nan=False).encode() + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        _warn_once(f"report of {len(line)} bytes dropped: a line holds at most {LINE_LIMIT_BYTES}")
        return
    try:
        _append(path, line)
    except OSError as error:
        _warn_once(f"report dropped: cannot write {path}: {error.strerror}")


def checkpoint_saved(step: int | None = None) -> None:
    """Tell that the work so far is safe on disk: of two jobs the one that loses less is stopped to make room.

    After `should_checkpoint()` has become true it is the answer to that: the job may be ended from here on, so call
    it last, from one rank, once all ranks have saved. A no-op outside a job.
    """
    report(step, checkpoint_at=time.time())
    _answer(b"saved\n")


def should_checkpoint() -> bool:
    """Return whether the job was asked to save its work and end, within `deadline()`; False outside a job.

    It costs a look at one file, at most once a second, and works in threads and in forked processes such as data
    loaders; ranks may see it a second apart, so let one decide for all (docs/checkpoints.md). A job that has called
    it once gets no SIGTERM before the time to save is over: no signal handler is needed.
    """
    return deadline() is not None


def deadline() -> float | None:
    """Return when the job has to be done, in epoch seconds; None as long as nobody asked it to end.

    Costs and counts the same as `should_checkpoint()`. A later call may return an earlier time.
    """
    path = os.environ.get("DCD_DEADLINE_PATH")
    if not path:
        return None
    if not _notice.announced:
        _notice.announced = True
        _announce()
    now_s = time.monotonic()
    if now_s >= _notice.look_again_s:
        _notice.look_again_s = now_s + LOOK_EVERY_S
        _notice.deadline = _read_deadline(path) or _notice.deadline
    return _notice.deadline


def job_id() -> int | None:
    """Return the id of the job this process runs in, or None outside a job."""
    text = os.environ.get("DCD_JOB_ID", "")
    return int(text) if text.isdecimal() else None


def gpus() -> list[int]:
    """Return the node's indices (PCI order) of the GPUs this job was given; none outside a job.

    A framework counts only the GPUs it may see: the first of these is its device 0.
    """
    entries = os.environ.get("DCD_GPUS", "").split(",")
    return [int(entry) for entry in entries if entry.strip().isdecimal()]


def _read_deadline(path: str) -> float | None:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123  pathlib would cost every job its import
            return float(file.read())
    except (OSError, ValueError):
        return None


def _announce() -> None:
    """Tell, once for the whole job, that it asks for its deadline and wants to be asked before it gets SIGTERM."""
    with contextlib.suppress(OSError, KeyError):
        if os.stat(os.environ["DCD_CHECKPOINT_PATH"]).st_size == 0:  # noqa: PTH116  as above
            _answer(b"ready\n")


def _answer(line: bytes) -> None:
    path = os.environ.get("DCD_CHECKPOINT_PATH")
    if path:
        try:
            _append(path, line)
        except OSError as error:
            _warn_once(f"checkpoint not told: cannot write {path}: {error.strerror}")


def _plain(name: str, value: object) -> float | str | None:
    """Turn a subclass (bool, numpy.float64, an IntEnum) into the plain value that JSON can carry."""
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError(f"report: {name} needs more than 64 bits; report it as a float")
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    raise TypeError(_wrong_type(name, value, "an int, a float or a str"))


def _wrong_type(name: str, value: object, wanted: str) -> str:
    return f"report: {name} must be {wanted}, not {type(value).__name__}; for a tensor pass {name}.item()"


def _append(path: str, line: bytes) -> None:
    # Opened anew each time: no descriptor is shared by threads, inherited by forks, or kept open for hours.
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, line) != len(line):
            _warn_once(f"report cut short: {path} took only a part of it; is the disk full?")
    finally:
        os.close(fd)


def _warn_once(text: str) -> None:
    global _already_warned  # noqa: PLW0603 - one process, one warning: the log must not fill with them
    if _already_warned or sys.stderr is None:
        return
    _already_warned = True
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"dcdaemon: {text}\nhint: the run goes on; further lost reports are not mentioned\n")
        sys.stderr.flush()
