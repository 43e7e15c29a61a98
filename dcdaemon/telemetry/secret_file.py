"""Reads a secret from a file that nobody but the daemon's user, or root, can read or change."""

import os
import stat
from pathlib import Path

_LONGEST = 4096


class BadSecret(Exception):
    """Why a file's secret is not used."""


def read_secret(path: Path, what: str) -> bytes:
    """Return what is in a file, without the white space around it; `what` names it. Raise BadSecret."""
    try:
        text = _read(path)
    except OSError as error:
        raise BadSecret(f"the {what} in {path} cannot be read: {error.strerror or error}") from error
    if len(text) > _LONGEST:
        raise BadSecret(f"{path} is longer than {_LONGEST} bytes")
    if not text.strip():
        raise BadSecret(f"{path} is empty: it should hold the {what}")
    return text.strip()


def _read(path: Path) -> bytes:
    # A pipe in place of the file must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(path, os.fstat(descriptor))
        return os.read(descriptor, _LONGEST + 1)
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise BadSecret(f"{path} is no file")
    if mode & 0o077:
        raise BadSecret(f"{path} may be read by others (mode {mode:04o}): chmod 600 {path}")
    if status.st_uid not in (0, os.geteuid()):
        raise BadSecret(f"{path} belongs to user {status.st_uid}, who may change it: chown root {path}")
