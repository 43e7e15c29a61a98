"""Space in the state directory: an attempt that finds none has not failed, it waits."""

import errno
import os
from pathlib import Path

from dcdaemon.core.errors import StoreUnavailable

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What the files of an attempt take, many times over.
_BYTES, _FILES = 1024 * 1024, 64


def check_space(directory: Path) -> None:
    """Raise StoreUnavailable while there is no space for the files of an attempt."""
    free = os.statvfs(directory)
    # Some filesystems do not count their files, and some not even their blocks.
    if free.f_blocks and free.f_bavail * free.f_frsize < _BYTES:
        raise no_space(directory, os.strerror(errno.ENOSPC))
    if free.f_files and free.f_favail < _FILES:
        raise no_space(directory, "no more files can be made there")


def no_space(directory: Path, why: str) -> StoreUnavailable:
    """Return the error of somebody who has to wait."""
    return StoreUnavailable(f"no job is started, for {directory} has no space: {why}", "free some; jobs start then")
