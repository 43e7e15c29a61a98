"""A file that gets its name only when it is complete: written beside it, synced, renamed; else nothing is left."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dcdaemon.core.errors import Refused

#: What SQLite puts beside a database while it is written.
SIDE_FILES = ("-wal", "-shm", "-journal")


@contextlib.contextmanager
def part_of(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield `path.part`, empty and 0600, which becomes `path` at the end and is removed when anything goes wrong.

    Raise Refused for a name that is taken, unless forced, and while another program writes the same file; OSError.
    """
    refuse_taken(path, force=force)
    part = path.with_name(f"{path.name}.part")
    with _claimed(part) as descriptor:
        try:
            yield part
            os.fsync(descriptor)
            part.rename(path)
        except BaseException:
            remove(part)
            raise
    sync_directory(path.parent)


@contextlib.contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Yield an empty 0600 file that is gone afterwards; raise Refused while another program uses it, and OSError."""
    with _claimed(path):
        try:
            yield path
        finally:
            remove(path)


def refuse_taken(path: Path, *, force: bool) -> None:
    """Raise Refused when there is something under this name that must not be replaced."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_file():
        raise Refused(f"{path} exists already and is no file", "choose another name")
    if not force:
        raise Refused(f"backup file {path} exists already", "choose another name, or replace it with --force")


def remove(path: Path) -> None:
    """Remove the file and what SQLite may have left beside it."""
    for suffix in ("", *SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[int]:
    """Make the file ours alone until the end, emptied of what a killed program left there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        _refuse_foreign(path, os.fstat(descriptor))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(descriptor).st_ino == path.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:  # or it was renamed between our opening and our locking it
            raise Refused(f"another program is writing {path}", "wait for it to end, or choose another name")
        os.ftruncate(descriptor, 0)
        os.fchmod(descriptor, 0o600)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    """Refuse a file that somebody else has put there: what is written into it would be his to read."""
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
        raise Refused(f"{path} is in the way and not ours", "remove it, or choose another name")
