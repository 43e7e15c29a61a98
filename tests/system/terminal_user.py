"""Somebody at a terminal: a real pseudo-terminal with `dcd shell` on it, to type on, to read from and to tear away."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import traceback
from collections.abc import Callable, Mapping, Sequence

WITHIN_S = 20.0


class TerminalUser:
    """Starts a program on a terminal of 24 rows and 80 columns; `seen` is all that was shown so far."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], call: Callable[[], int] | None = None) -> None:
        """Run the command line, or the function in a child of this process."""
        self.seen = ""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            try:
                os.chdir("/")
                if call is not None:
                    os.environ.update(env)
                    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
                    os._exit(call())
                os.execvpe(argv[0], argv, env)  # noqa: S606
            except BaseException:  # noqa: BLE001  told on the terminal
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(99)
        self.resize(24, 80)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type, newline as Return."""
        os.write(self._master, text.encode().replace(b"\n", b"\r"))

    def expect(self, text: str) -> str:
        """Wait until the text is shown; return what came with it, and forget that."""
        deadline = time.monotonic() + WITHIN_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was never shown, but:\n{self.seen}"
            assert self._look(0.5) or text in self.seen, f"{text!r} was not shown before the end, but:\n{self.seen}"
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def in_shell(self) -> None:
        """Wait until a shell answers."""
        self.type("echo up $((6*7))\n")
        self.expect("up 42")

    def exit_code(self) -> int:
        """Wait until the program has ended and return its exit code, negative for a signal."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"it did not end; shown so far:\n{self.seen}"
            if not self._look(0.05):
                time.sleep(0.005)

    def modes(self) -> list:
        """Return the modes of the terminal."""
        return termios.tcgetattr(self._master)

    def kill(self, number: int) -> None:
        """Signal the program."""
        os.kill(self.pid, number)

    def tear_away(self) -> None:
        """Close the terminal under the program, as a closed window or a lost connection does."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """Leave nothing behind."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._master >= 0:
            os.close(self._master)

    def _look(self, wait_s: float) -> bool:
        """Take in what is shown; False when nothing will be any more."""
        if self._master < 0 or not select.select([self._master], [], [], wait_s)[0]:
            return self._master >= 0
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal open
            return False
        self.seen += chunk.decode("utf-8", "replace")
        return bool(chunk)


def dcd(*arguments: str) -> list[str]:
    """Return the command line of `dcd` in this environment."""
    return [sys.executable, "-m", "dcdaemon", *arguments]
