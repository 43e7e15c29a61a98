"""A real mount that does not answer until it is told to: FUSE by hand, in as much as statvfs(2) needs."""

import contextlib
import ctypes
import errno
import os
import struct
import threading
from pathlib import Path

FSTYPE = "fuse.silent"
BLOCK_BYTES = 4096
_NOSUID_NODEV, _DETACH = 2 | 4, 2
#: <linux/fuse.h>: the head of a request and of an answer, the answer to INIT, and kstatfs.
_IN, _OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
_INIT, _KSTATFS = struct.Struct("<IIIIHHIIHHI28x"), struct.Struct("<QQQQQIII28x")
_STATFS, _INIT_REQUEST = 17, 26

libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """Return why this machine cannot have such a mount."""
    if os.geteuid() != 0:
        return "mounting needs root"
    return None if os.access("/dev/fuse", os.R_OK | os.W_OK) else "there is no /dev/fuse"


class SilentMount:
    """Mounted at `point` from the beginning; `answer` makes it as good as any other."""

    def __init__(self, point: Path) -> None:
        self.point = point
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"silent", bytes(point), FSTYPE.encode(), _NOSUID_NODEV, options.encode()):
            error = ctypes.get_errno()
            os.close(self._device)
            raise OSError(error, os.strerror(error))

    def answer(self) -> None:
        """Answer what was asked and what will be."""
        threading.Thread(target=self._serve, name="fuse", daemon=True).start()

    def close(self) -> None:
        """Unmount; whoever still waits gets an error."""
        libc.umount2(bytes(self.point), _DETACH)
        # Closing the device ends the waiting of a read on it only after an answer: abort by its connection's end.
        with contextlib.suppress(OSError):
            os.close(self._device)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._reply(os.read(self._device, 135168))

    def _reply(self, request: bytes) -> None:
        _, operation, unique, *_ = _IN.unpack_from(request)
        if operation == _INIT_REQUEST:
            body, error = _INIT.pack(7, 31, 0, 0, 16, 12, 4096, 1, 1, 0, 0), 0
        elif operation == _STATFS:
            body, error = _KSTATFS.pack(1000, 400, 300, 50, 20, BLOCK_BYTES, 255, BLOCK_BYTES), 0
        else:
            body, error = b"", -errno.ENOSYS
        os.write(self._device, _OUT.pack(_OUT.size + len(body), error, unique) + body)
