"""Opening a job's log as the daemon, not to be led astray by a link, a pipe or a stranger's file."""

import os
import stat
from pathlib import Path

from dcdaemon.core.errors import NotFound, Refused


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
