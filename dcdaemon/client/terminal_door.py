"""Where the job behind `dcd shell` calls: a socket in a directory of its own that only its user may enter."""

import contextlib
import os
import socket
import stat
import struct
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from dcdaemon.core.errors import Refused

_PATH_MAX_BYTES = 107  # sun_path of unix(7), less its final NUL
_UCRED = struct.Struct("3i")


class TerminalDoor:
    """Listens until the job has called, once; nobody else can come in behind it."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="dcd-shell-", dir=_place()))
        self.path = self._directory / "terminal"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._socket.bind(str(self.path))
        self._socket.listen(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self.close()

    def close(self) -> None:
        """Stop listening and leave nothing behind; a connection that was accepted goes on."""
        self._socket.close()
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._directory.rmdir()

    def wait(self, timeout_s: float) -> socket.socket | None:
        """Return the connection of the job, None when it has not called in time; another user's call is cut off."""
        self._socket.settimeout(timeout_s)
        try:
            link, _ = self._socket.accept()
        except TimeoutError:
            return None
        if peer_uid(link) != os.getuid():
            link.close()
            return None
        self.close()
        return link


def peer_uid(link: socket.socket) -> int:
    """Return who is at the other end, as the kernel has it (SO_PEERCRED, unix(7))."""
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    return int(uid)


def _place() -> Path:
    """Return the user's own runtime directory, or one for everybody where the new directory will be private."""
    own = Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere"))
    for place in (own, Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  mkdtemp makes a 0700 directory there
        if len(os.fsencode(place)) + 40 <= _PATH_MAX_BYTES and (place != own or _is_private(own)):
            return place
    raise Refused("there is no place for the socket of a terminal", "see that /tmp is there")


def _is_private(directory: Path) -> bool:
    try:
        status = directory.stat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) == stat.S_IRWXU
