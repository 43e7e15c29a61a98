"""The first half of the job behind `dcd shell`: calls the terminal that asked, and becomes the program on a new one."""

# as in its other half:
# ruff: noqa: PTH108, PTH106, PTH120

import contextlib
import errno
import fcntl
import json
import os
import pwd
import signal
import socket
import struct
import termios

WINSIZE = struct.Struct("4H")
PACKET_MAX_BYTES = 32768
HELLO_WITHIN_S = 10.0
NOT_FOUND, NOT_EXECUTABLE, CANNOT_START = 127, 126, 125


def login_shell() -> str:
    """Return the shell of this user: what the environment says, or the user database, or sh."""
    with contextlib.suppress(KeyError):
        for shell in (os.environ.get("SHELL", ""), pwd.getpwuid(os.getuid()).pw_shell):
            if shell.startswith("/") and os.access(shell, os.X_OK):
                return shell
    return "/bin/sh"


def peer_uid(link: socket.socket) -> int:
    """Return who is at the other end of a unix socket, as the kernel has it (SO_PEERCRED, unix(7))."""
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def call(path: str) -> tuple[socket.socket, dict]:  # type: ignore[type-arg]
    """Connect to the terminal that asked; raise PermissionError when that is another user's."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        link.settimeout(HELLO_WITHIN_S)
        link.connect(path)
        if peer_uid(link) != os.getuid():
            raise PermissionError(errno.EPERM, f"{path} belongs to uid {peer_uid(link)}")
        return link, json.loads(link.recv(PACKET_MAX_BYTES))
    except (OSError, ValueError):
        link.close()
        raise


def remove(path: str) -> None:
    """Take away what a killed `dcd shell` has left, where it is ours."""
    with contextlib.suppress(OSError):
        if os.lstat(path).st_uid == os.getuid():
            os.unlink(path)
            os.rmdir(os.path.dirname(path))


def become(argv: list[str], hello: dict) -> None:  # type: ignore[type-arg]
    """Turn this forked child, whose terminal is the new one already, into the program; never returns."""
    try:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, termios.error):
            _take_over(hello)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and an exec would keep that
            signal.signal(number, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606  never through a shell
    except OSError as error:
        os.write(2, f"dcd: error: cannot run {argv[0]}: {error.strerror}\r\n".encode("utf-8", "backslashreplace"))
        os._exit(NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE)
    finally:
        os._exit(CANNOT_START)


def _take_over(hello: dict) -> None:  # type: ignore[type-arg]
    """Give the new terminal the size and the modes of the user's own."""
    fcntl.ioctl(0, termios.TIOCSWINSZ, WINSIZE.pack(*hello["size"]))
    *flags, characters = hello["modes"]
    modes: list = [*flags, [bytes([code]) for code in characters]]  # type: ignore[type-arg]
    termios.tcsetattr(0, termios.TCSANOW, modes)
