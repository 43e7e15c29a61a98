"""Run a command in a real terminal of a given width (a pty) and return what it would show."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence


def in_terminal(arguments: Sequence[str], env: Mapping[str, str], columns: int) -> tuple[int, str]:
    """Return exit code and output; stdin, stdout and stderr are the terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "dcdaemon", *arguments]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=dict(env)) as process:
        os.close(slave)
        text = b"".join(iter(lambda: _read(master), b""))
        code = process.wait(10)
    os.close(master)
    return code, text.decode().replace("\r\n", "\n")


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the last writer has closed the terminal
        return b""
