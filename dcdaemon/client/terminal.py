"""The user's own terminal while it shows a shell that runs as a job: raw bytes both ways, its size, its hang-up."""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass

#: The first byte of each packet, as in dcdaemon/runner/terminal.py.
DATA, SIZE, EXIT, NOTE = b"d", b"w", b"x", b"n"
WINSIZE = struct.Struct("4H")
PACKET_MAX_BYTES = 32768
_CHUNK_BYTES = 4096
_IN, _OUT = 0, 1
_HEARD = (signal.SIGWINCH, signal.SIGHUP, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Parting:
    """How it ended: the program's exit code, the signal that ended us, or neither when the job was cut off."""

    code: int | None = None
    signal: int | None = None


def is_terminal() -> bool:
    """Tell whether there is a terminal to show a shell on."""
    return os.isatty(_IN) and os.isatty(_OUT)


def show(link: socket.socket) -> Parting:
    """Show the shell at the other end of the link until it ends; the terminal is left as it was."""
    link.send(json.dumps(_hello()).encode())
    link.settimeout(0)
    with link, _signals() as heard, _raw():
        return _relay(link, heard)


def _hello() -> dict[str, object]:
    *flags, characters = termios.tcgetattr(_IN)
    codes = [code[0] if isinstance(code, bytes) else int(code) for code in characters]
    return {"size": WINSIZE.unpack(_size()), "modes": [*flags, codes]}


def _size() -> bytes:
    return fcntl.ioctl(_OUT, termios.TIOCGWINSZ, bytes(WINSIZE.size))


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Pass every key on: Ctrl-C is for the program in the shell."""
    before = termios.tcgetattr(_IN)
    try:
        tty.setraw(_IN, termios.TCSADRAIN)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(_IN, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Turn resizes and hang-ups into bytes to read, so that they wake the relay and interrupt nothing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _HEARD}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _relay(link: socket.socket, heard: int) -> Parting:
    waiting: list[bytes] = []  # what was typed or heard, and not taken yet
    while True:
        asked: list[int | socket.socket] = [heard, link] if waiting else [heard, link, _IN]
        readable, writable, _ = select.select(asked, [link] if waiting else [], [])
        if heard in readable:
            numbers = os.read(heard, 64)
            if last := set(numbers) - {signal.SIGWINCH}:
                return Parting(signal=last.pop())
            waiting.append(SIZE + _size())
        if _IN in readable:
            if not (typed := _read()):
                return Parting(signal=signal.SIGHUP)
            waiting.append(DATA + typed)
        if link in readable and (parting := _take(link)) is not None:
            return parting
        if waiting and link in writable:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                link.send(waiting[0])
                waiting.pop(0)


def _read() -> bytes:
    try:
        return os.read(_IN, _CHUNK_BYTES)
    except OSError:
        return b""  # EIO: the terminal is gone


def _take(link: socket.socket) -> Parting | None:
    """Show what came; return how it ended if that is what came."""
    try:
        packet = link.recv(PACKET_MAX_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        packet = b""
    kind, content = packet[:1], packet[1:]
    if kind == DATA:
        _write(content)
    elif kind == NOTE:
        sys.stderr.write(f"\r\ndcd: {content.decode('utf-8', 'replace')}\r\n")
        sys.stderr.flush()
    elif kind == EXIT:
        return Parting(code=content[0])
    return None if packet else Parting()


def _write(content: bytes) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone says so when it is read
        while content:
            content = content[os.write(_OUT, content) :]
