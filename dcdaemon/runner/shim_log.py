"""Part of the shim: keeps a job's files within their limits, of its log by giving back what lies between head and tail.

The job writes to the file itself, and no pipe can break it: the hole is punched under the writer (fallocate(2)).
"""

import ctypes
import errno
import os
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
KEEP_SIZE, PUNCH_HOLE = 1, 2
BLOCK_BYTES = 4096
LOOK_EVERY_S = 10.0
LOOK_OFTEN_S = 1.0


class JobLog:
    """The open log of a job, of which at most `limit_bytes` stay on disk; None keeps all of it.

    A quarter of the limit is kept of the head, half of it of the tail, so that a hole is punched once a quarter.
    """

    def __init__(self, fd: int, limit_bytes: int | None) -> None:
        self._fd = fd
        self._limit_bytes = limit_bytes or 0
        self._size = 0
        #: When to look next, in seconds of the monotonic clock; None for never. Soon at first: it may be a fast one.
        self.look_at = time.monotonic() + LOOK_OFTEN_S if limit_bytes else None

    def look(self, now: float, *, last: bool = False) -> None:
        """Punch the hole when it is due; the last time it is due at once."""
        if self.look_at is None or (now < self.look_at and not last):
            return
        status = os.fstat(self._fd)
        grown, self._size = status.st_size - self._size, status.st_size
        # So often that a fast writer gets at most an eighth of the limit ahead, as long as it is no faster than that.
        often = last or grown > self._limit_bytes / 8
        self.look_at = now + (LOOK_OFTEN_S if often else LOOK_EVERY_S)
        if min(status.st_size, status.st_blocks * 512) > self._limit_bytes:
            self._punch(status.st_size)

    def _punch(self, size: int) -> None:
        start = -(-self._limit_bytes // 4 // BLOCK_BYTES) * BLOCK_BYTES
        end = (size - self._limit_bytes // 2) // BLOCK_BYTES * BLOCK_BYTES
        if end <= start:
            return
        if LIBC.fallocate(self._fd, PUNCH_HOLE | KEEP_SIZE, start, end - start) == 0:
            return
        number = ctypes.get_errno()
        if number != errno.EINTR:
            self.look_at = None
            self._say(f"cannot keep this log within {self._limit_bytes} bytes: {os.strerror(number)}")

    def _say(self, text: str) -> None:
        try:
            os.write(self._fd, f"dcd: note: {text}\n".encode())
        except OSError:
            return  # a full disk: nothing more to be said


class TellingFile:
    """A file in which a job tells the daemon something: so much of it may lie on disk, and only while the job lives."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        self._fd = fd
        self._limit_bytes = limit_bytes
        #: When to look next, in seconds of the monotonic clock.
        self.look_at = time.monotonic() + LOOK_OFTEN_S

    def look(self, now: float) -> None:
        """Give the disk back what is too much, when it is time to look."""
        if now >= self.look_at:
            self.look_at = now + (LOOK_OFTEN_S if self._bound() else LOOK_EVERY_S)

    def take(self) -> None:
        """Take the file from the job's user: nobody watches it any more, and it counts to the daemon's disk."""
        try:
            self._bound()
            os.fchown(self._fd, os.geteuid(), os.getegid())
        except OSError:
            return  # not root, or a disk that fails: how the job ended is to be written all the same
        finally:
            os.close(self._fd)

    def _bound(self) -> bool:
        """Tell whether there was too much of it; its offsets stay, as the daemon has read up to one of them."""
        if not self._is_too_much():
            return False
        size = os.fstat(self._fd).st_size
        end = max(size - self._limit_bytes // 2, 0) // BLOCK_BYTES * BLOCK_BYTES
        if end:
            LIBC.fallocate(self._fd, PUNCH_HOLE | KEEP_SIZE, 0, end)
        if self._is_too_much():
            os.ftruncate(self._fd, size)  # gives back what was reserved behind the end
        if self._is_too_much():
            os.ftruncate(self._fd, 0)  # a file system without holes
        return True

    def _is_too_much(self) -> bool:
        return os.fstat(self._fd).st_blocks * 512 > self._limit_bytes
