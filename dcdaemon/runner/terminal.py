"""The job behind `dcd shell`: opens a pseudo-terminal, runs a shell on it, and serves it to the terminal that asked.

It needs only the standard library, its own other half and a part of the shim, and is run by its file name as the job's
user. The asking side listens on a socket in a directory that only this user may enter, and this program calls there:
whoever is gone by then gets no shell, and whoever goes away later is noticed by the end of the connection.
"""

# as in the shim, what is not loaded costs no memory beside a job:
# ruff: noqa: PTH100, PTH120

import contextlib
import ctypes
import fcntl
import os
import pty
import select
import signal
import socket
import sys
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dcdaemon.runner.shim_processes import descendants, signal_descendants
    from dcdaemon.runner.terminal_start import (
        CANNOT_START,
        PACKET_MAX_BYTES,
        WINSIZE,
        become,
        call,
        login_shell,
        remove,
    )
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from shim_processes import descendants, signal_descendants
    from terminal_start import CANNOT_START, PACKET_MAX_BYTES, WINSIZE, become, call, login_shell, remove

    del sys.path[0]

#: The first byte of each packet, and what follows: bytes of the terminal; rows, columns and pixels; an exit code; text.
DATA, SIZE, EXIT, NOTE = b"d", b"w", b"x", b"n"
PR_SET_CHILD_SUBREAPER = 36
LAST_WORDS_WITHIN_S, LOOK_AGAIN_S = 2.0, 0.1
#: So long programs may take to save something when their terminal is gone; the GPU is to be free within seconds.
MERCY_S, GIVE_UP_S = 5.0, 2.0
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(arguments: list[str]) -> int:
    """Serve a shell, or the command behind the socket's path, and return the job's exit code."""
    path, *command = arguments
    try:
        link, hello = call(path)
    except (OSError, ValueError) as error:
        remove(path)
        _say(f"error: the terminal that asked for this shell is gone: {error}")
        _say("hint: dcd shell asks for a new one; what shall run without a terminal goes through dcd submit")
        return CANNOT_START
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what daemonises comes to us, not past us
    session = _Session(link, hello, command)
    session.serve()
    return session.end()


class _Session:
    """A program on a pseudo-terminal, from its first instruction to the end of everything it started."""

    def __init__(self, link: socket.socket, hello: dict, command: list[str]) -> None:  # type: ignore[type-arg]
        self.link = link
        self.shell = "" if command else login_shell()
        argv = command or [self.shell]
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(self.wake_read, False)
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            become(argv, hello)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, lambda *_: None)
        os.set_blocking(self.master, False)
        self.link.settimeout(0)
        self.status: int | None = None
        self.asked_to_end = self.lost = False
        self.to_program = self.to_user = b""
        _say(f"pid {self.pid} runs {argv[0]} on a terminal; what is typed and shown there is not kept")

    def serve(self) -> None:
        """Pass bytes both ways until the program has ended or the other end is gone."""
        self._reap()
        while self.status is None and not self.lost:
            poller = select.poll()
            poller.register(self.wake_read, select.POLLIN)
            # Each direction holds one chunk at most: a terminal that does not take its output slows the program down.
            poller.register(self.master, self._wanted(self.to_user, self.to_program))
            poller.register(self.link, self._wanted(self.to_program, self.to_user))
            ready = dict(poller.poll(1000 * LOOK_AGAIN_S if self.asked_to_end else None))
            self._obey_signals()
            self._move(ready)
            if self.asked_to_end and self.shell and not _has_more_than(self.pid):
                break  # a shell ignores SIGTERM; nothing it started is left

    @staticmethod
    def _wanted(read_into: bytes, written_from: bytes) -> int:
        return (0 if read_into else select.POLLIN) | (select.POLLOUT if written_from else 0)

    def _move(self, ready: dict[int, int]) -> None:
        terminal, link = ready.get(self.master, 0), ready.get(self.link.fileno(), 0)
        if link & (select.POLLHUP | select.POLLERR):
            self.lost = True
            return
        if link & select.POLLIN:
            self._receive()
        if self.to_program and terminal & select.POLLOUT:
            self.to_program = self.to_program[_written(self.master, self.to_program) :]
        if terminal & select.POLLHUP:
            time.sleep(LOOK_AGAIN_S / 10)  # nobody has the terminal open just now; the program's end is on its way
        if terminal & select.POLLIN and not self.to_user:
            self._read_terminal()
        if self.to_user:
            self._flush()

    def _receive(self) -> None:
        try:
            packet = self.link.recv(PACKET_MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self.lost = True
        elif packet[:1] == DATA:
            self.to_program = packet[1:]
        elif packet[:1] == SIZE:
            _resize(self.master, packet[1:])

    def _read_terminal(self) -> bool:
        try:
            chunk = os.read(self.master, PACKET_MAX_BYTES - 1)
        except OSError:
            return False  # nothing there just now (EAGAIN), or nobody has the terminal open (EIO)
        self.to_user = DATA + chunk
        return True

    def _flush(self) -> None:
        try:
            self.link.send(self.to_user)
        except BlockingIOError:
            return
        except OSError:
            self.lost = True
        self.to_user = b""

    def _obey_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self.wake_read, 512):
                self._obey(number)

    def _obey(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            self.lost = True
        elif number == signal.SIGTERM:
            self._ask_to_end()
        else:
            self._pass_on(number)

    def _ask_to_end(self) -> None:
        if not self.asked_to_end:
            self.asked_to_end = True
            with contextlib.suppress(OSError):
                self.link.send(NOTE + b"this job was asked to end")
            signal_descendants(signal.SIGTERM)

    def _pass_on(self, number: int) -> None:
        """Give a signal that was meant for the job's program (a checkpoint, say) to what runs in the foreground."""
        with contextlib.suppress(OSError):
            group = os.tcgetpgrp(self.master)
            if group > 1 and not (self.shell and group == self.pid):
                os.killpg(group, number)

    def _reap(self) -> bool:
        """Collect what has ended; tell whether any process is left below us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)

    def end(self) -> int:
        """Say how the program ended, end all it left behind, and return the job's exit code."""
        code = None if self.status is None else self.status if self.status >= 0 else 128 - self.status
        if code is not None and not self.lost:
            self._last_words(code)
        self.link.close()
        os.close(self.master)  # the kernel's own hang-up reaches set-uid programs, too
        self._end_the_rest()
        if self.lost:
            _say("the terminal went away, and the shell with it")
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGHUP)
        _say("the shell was ended" if code is None else f"it ended with code {code}")
        # What the last command in a shell said is no judgement on the job.
        return 0 if code is None or (self.shell and code < 128) else code

    def _last_words(self, code: int) -> None:
        """Send what the program wrote last, and its exit code unless the job's own end tells more."""
        self.link.settimeout(LAST_WORDS_WITHIN_S)
        for _ in range(64):  # what was left in the background may write for ever
            if self.to_user:
                self._flush()
            if not self._read_terminal():
                break
        with contextlib.suppress(OSError):
            if not self.asked_to_end:
                self.link.send(EXIT + bytes([code & 0xFF]))

    def _end_the_rest(self) -> None:
        kill_at = time.monotonic() + MERCY_S
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):
            signal_descendants(number)
        while self._reap() and time.monotonic() < kill_at + GIVE_UP_S:
            if time.monotonic() >= kill_at:
                signal_descendants(signal.SIGKILL)
            select.select([self.wake_read], [], [], LOOK_AGAIN_S / 2)
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake_read, 512)


def _resize(master: int, size: bytes) -> None:
    if len(size) == WINSIZE.size:
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)


def _written(descriptor: int, content: bytes) -> int:
    try:
        return os.write(descriptor, content)
    except BlockingIOError:
        return 0
    except OSError:
        return len(content)  # nobody will read it any more


def _has_more_than(pid: int) -> bool:
    """Tell whether any living process is below us beside this one."""
    return any(process != pid for process, _ in descendants())


def _say(text: str) -> None:
    sys.stdout.write(f"dcd: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
