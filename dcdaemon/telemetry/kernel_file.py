"""Kernel files kept open: one system call a reading, where opening and closing would make it four."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.telemetry.numbers import whole

#: Not there, not for this user, switched off: nothing is wrong, and nothing is known.
ABSENT = frozenset(
    {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP}
)
_QUOTED = 32
_LONGEST_WORD = 64
Value = TypeVar("Value")


def word_of(path: Path) -> str:
    """Return what a file calls something, fit to be stored and printed; empty when it cannot be read."""
    try:
        text = path.read_bytes()[:_LONGEST_WORD].decode("utf-8", "replace")
    except OSError:
        return ""
    return "".join(sign for sign in text.strip() if sign.isprintable())


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none when it is not there."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  asked at each reading; paths would cost five times as much
    except OSError:
        return []


class KernelFile:
    """A file of /proc or /sys, opened at its first reading and anew after one that failed."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str | Path) -> None:
        self.path = os.fspath(path)
        self._fd: int | None = None

    def read(self, size: int = 4096) -> bytes:
        """Return the first `size` bytes as they are now; raise OSError when it cannot be read."""
        fd = self._fd
        if fd is None:
            fd = self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size, 0)
        except OSError:
            self.close()
            raise

    def read_all(self, piece: int = 65536) -> bytes:
        """Return the whole file; some kernel files give no more than a page at once."""
        found = self.read(piece)
        pieces, offset = [found], len(found)
        while found and self._fd is not None:
            found = os.pread(self._fd, piece, offset)
            pieces.append(found)
            offset += len(found)
        return b"".join(pieces)

    def text(self) -> str:
        """Return the whole file as text, empty when it cannot be read; bytes that are no UTF-8 become surrogates."""
        try:
            return self.read_all().decode("utf-8", "surrogateescape")
        except OSError:
            return ""

    def close(self) -> None:
        """Let go of it; the next reading opens it again."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Faults:
    """Tells of each trouble when it begins, and not again before it was over."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._known: set[tuple[EventKind, str]] = set()

    def say(
        self, at: float, subject: str, message: str, kind: EventKind = EventKind.UNREADABLE, **evidence: object
    ) -> None:
        """Tell of a trouble with `subject`, unless that is known already."""
        if (kind, subject) not in self._known:
            self._known.add((kind, subject))
            self._tell(Event(at, kind, subject, message, evidence))

    def over(self, subject: str, kind: EventKind = EventKind.UNREADABLE) -> None:
        """Note that this trouble with `subject` is over, so that its next one is told."""
        self._known.discard((kind, subject))

    def failed(self, at: float, subject: str, path: str, error: OSError) -> None:
        """Tell that a file cannot be read; what is absent or not for this user is no trouble."""
        if error.errno not in ABSENT:
            self.say(at, subject, f"{path} cannot be read: {error.strerror}")

    def odd(self, at: float, subject: str, path: str, text: str) -> None:
        """Tell that a file holds something else than it should."""
        says = ascii(text[:_QUOTED].strip())
        self.say(at, subject, f"{path} says {says}, which is no value", says=says)


class ParsedFile(Generic[Value]):
    """A kernel file read into a value; what it does not tell is None, and what is wrong with it is told once."""

    __slots__ = ("_faults", "_file", "_parse", "_size", "_subject")

    def __init__(
        self, path: Path, parse: Callable[[str], Value | None], faults: Faults, *, size: int = 4096, subject: str = ""
    ) -> None:
        self._file = KernelFile(path)
        self._parse = parse
        self._faults = faults
        self._size = size
        self._subject = subject or self._file.path

    def read(self, at: float) -> Value | None:
        """Return its value now; None, without a word, when the file is not there or not for this user."""
        try:
            text = self._file.read(self._size).decode("ascii", "replace")
        except OSError as error:
            self._faults.failed(at, self._subject, self._file.path, error)
            return None
        value = self._parse(text)
        if value is None:
            self._faults.odd(at, self._subject, self._file.path, text)
        else:
            self._faults.over(self._subject)
        return value


class NumberFile(ParsedFile[int]):
    """A kernel file that holds one number."""

    __slots__ = ()

    def __init__(self, path: Path, subject: str, faults: Faults, parse: Callable[[str], int | None] = whole) -> None:
        super().__init__(path, lambda text: parse(text.strip()), faults, size=64, subject=subject)
