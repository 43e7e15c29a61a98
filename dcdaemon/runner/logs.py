"""Reading a job's log as the daemon, not to be led astray by a link, a pipe or a stranger's file."""

import os
import stat
from pathlib import Path

from dcdaemon.core.errors import NotFound, Refused

BLOCK_BYTES = 64 * 1024
TAIL_MAX_BYTES = 16 * 1024 * 1024


def open_log(path: Path, owner_uid: int) -> int:
    """Open a job's log for reading; raises NotFound, or Refused when it is no file of that user."""
    place = _locate(path)
    try:
        status = os.fstat(place)
        # The daemon's own files are refused, too: a job may name any of root's files as its log.
        if stat.S_ISREG(status.st_mode) and status.st_uid == owner_uid:
            return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"cannot open the log {path}: {error.strerror}", "a log must be a plain file") from error
    finally:
        os.close(place)
    raise Refused(
        f"will not read the log {path}: it is not a regular file of the job's user",
        "a log must be a plain file",
    )


def _locate(path: Path) -> int:
    """Hold on to whatever stands there without opening it: to open a watchdog or a tape drive is to start it."""
    try:
        return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no log at {path}", "the job has not started yet, or its log was removed") from error
    except OSError as error:
        raise Refused(f"cannot open the log {path}: {error.strerror}", "a log must be a plain file") from error


def tail(fd: int, lines: int) -> tuple[bytes, int]:
    """Return the last `lines` lines, a part of a line at the end counted as one, and the offset behind them.

    At most the last 16 MiB are searched; the offset is in bytes.
    """
    end = os.fstat(fd).st_size
    if lines <= 0:
        return b"", end
    start, floor = end, max(0, end - TAIL_MAX_BYTES)
    blocks: list[bytes] = []
    line_ends = 0
    while start > floor and line_ends <= lines:  # one more than wanted: the last line may be whole
        size = min(BLOCK_BYTES, start - floor)
        start -= size
        blocks.append(os.pread(fd, size, start))
        line_ends += blocks[-1].count(b"\n")
    return _last_lines(b"".join(reversed(blocks)), lines), end


def _last_lines(text: bytes, lines: int) -> bytes:
    at = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        at = text.rfind(b"\n", 0, at)
        if at < 0:
            return text
    return text[at + 1 :]


def read_from(fd: int, offset: int, max_bytes: int = BLOCK_BYTES) -> bytes:
    """Return what stands in the log from a byte offset on; nothing at or behind its end."""
    return os.pread(fd, max_bytes, offset)
