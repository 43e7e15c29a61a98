"""Reading an open log from a place on: over the hole that keeps a long one within its limit, and back by lines."""

import errno
import os
import weakref

from dcdaemon.core.errors import Refused
from dcdaemon.core.units import format_bytes

_BLOCK = 64 * 1024
#: The last lines are looked for in so much of the log: a sparse file of a petabyte would keep a thread for days.
_TAIL_MAX_BYTES = 64 * 1024 * 1024


class LogFile:
    """An open log, closed with its last reference at the latest: a stream cut off before it began runs no `finally`.

    `offset` is where it is read next, in bytes of the file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.offset = 0
        self._in_line = False
        self._broken = False
        self.close = weakref.finalize(self, os.close, descriptor)

    def go_back(self, lines: int) -> None:
        """Go where the last `lines` lines begin; raise Refused where the file cannot be read."""
        try:
            self.offset = last_lines(self._descriptor, lines)
        except OSError as error:
            raise Refused(f"cannot read the log: {error.strerror}", "a log must be a plain file") from error

    def read(self) -> bytes:
        """Return the next block, empty at the end; what was left out on disk is told in a line of its own.

        A file that cannot be read any more ends with a line that says so.
        """
        if self._broken:
            return b""
        try:
            return self._next()
        except OSError as error:
            self._broken = True
            said = f"[... cannot read the log further: {error.strerror} ...]\n".encode()
            return b"\n" + said if self._in_line else said

    def _next(self) -> bytes:
        while True:
            data = self._data_from(self.offset)
            if data - self.offset >= _BLOCK:
                return self._step_over(data)
            block = os.pread(self._descriptor, _BLOCK, self.offset)
            # A hole is punched while we look, in the worst case: then what we read is nothing.
            if not block or self._data_from(self.offset) - self.offset < _BLOCK:
                return self._taken(block[: self._hole_from(self.offset)] if block else block)

    def _taken(self, block: bytes) -> bytes:
        self.offset += len(block)
        self._in_line = bool(block) and not block.endswith(b"\n")
        return block

    def _step_over(self, data: int) -> bytes:
        """Go on behind a hole, with the first whole line there."""
        came_from, self.offset = self.offset, data
        block = os.pread(self._descriptor, _BLOCK, data)
        self.offset += block.find(b"\n") + 1
        said = f"[... {format_bytes(self.offset - came_from)} left out ...]\n".encode()
        return b"\n" + said if self._in_line else said

    def _data_from(self, offset: int) -> int:
        """Return where the next data begin; the same place at the end of the file, and where nobody knows of holes."""
        try:
            return os.lseek(self._descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return max(offset, os.fstat(self._descriptor).st_size)
            return offset

    def _hole_from(self, offset: int) -> int:
        """Return how many bytes of data there are from here to the next hole, or to the end."""
        try:
            hole = os.lseek(self._descriptor, offset, os.SEEK_HOLE) - offset
        except OSError:
            return _BLOCK
        # Where we stand in a small hole of its own making, the program wrote it so.
        return hole or _BLOCK


def last_lines(descriptor: int, lines: int) -> int:
    """Return the offset where the last `lines` lines of a file begin; a part of a line at the end counts as one.

    Only the last 64 MiB are searched; where they hold fewer lines, it is their beginning.
    """
    end = os.fstat(descriptor).st_size
    if lines == 0 or end == 0:
        return end
    position, wanted, floor = end, lines, max(0, end - _TAIL_MAX_BYTES)
    if os.pread(descriptor, 1, end - 1) == b"\n":
        wanted += 1
    while position > floor:
        start = max(floor, position - _BLOCK)
        block = os.pread(descriptor, position - start, start)
        found = block.count(b"\n")
        if found >= wanted:
            return start + _after_newline(block, found - wanted)
        wanted -= found
        position = start
    return floor


def _after_newline(block: bytes, skip: int) -> int:
    """Return the place after the newline number `skip` (from 0) of the block."""
    place = -1
    for _ in range(skip + 1):
        place = block.index(b"\n", place + 1)
    return place + 1
