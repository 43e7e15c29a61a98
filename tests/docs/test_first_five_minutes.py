"""The README's quick start is typed into a real terminal, line by line, and shows what the README says it shows.

In the README's outputs `...` stands for any text and `you` for your user name. A quantity (a time, a share, a
number with a unit or a decimal point) may have another value; every other word and number must be the same.
"""

import contextlib
import fcntl
import getpass
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"<(\d+)>next: $")
WITHIN_S = 40.0
#: What may differ from run to run, and what it looks like then.
DIFFERS = (
    r"(?:\d+(?:ms|[dhms]))+\b",
    r"\d+(?:\.\d+)? (?:J|Wh|kWh)",
    r"\d+(?:\.\d+)?(?: [KMG]iB| [WC]\b|%)",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    r"(?<![\d.])\d+\.\d+(?![\d.])",
    r"\.\.\.",
)
ANY = {r"\.\.\.": ".*"}


class Terminal:
    """A shell on a terminal of 100 columns, in a home of its own."""

    def __init__(self, home: Path) -> None:
        env = {
            "HOME": str(home), "TMPDIR": str(home / "tmp"), "PS1": r"<$?>next: ", "TERM": "dumb", "LANG": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DCD_DAEMON__SOCKET": str(home / "dcd.sock"),
            "USER": getpass.getuser(),
        }  # fmt: skip
        self.home = home
        self.screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        command = ["setsid", "--ctty", "bash", "--norc", "--noprofile", "--noediting", "-i"]
        self.shell = subprocess.Popen(command, env=env, cwd=home, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        self.background: list[int] = []
        self.read(lambda text: bool(PROMPT.search(text)))
        self.type("stty -echo")

    def type(self, line: str, shows: str = "") -> tuple[int, str]:
        """Type one command and return its exit code and its output; a command in the background may take its time."""
        os.write(self.screen, f"{line}\n".encode())
        seen = self.read(lambda text: bool(PROMPT.search(text)))
        code = int(re.findall(r"<(\d+)>next: ", seen)[0])
        self.background += [int(pid) for pid in re.findall(r"^\[\d+\] (\d+)$", seen, re.MULTILINE)]
        if line.endswith("&"):
            seen = self.read(lambda text: matches(shows, output_of(text)), seen)
        return code, output_of(seen)

    def read(self, enough: Callable[[str], bool], seen: str = "") -> str:
        """Read on until it is enough, or the time is over; what was seen is for the caller to judge."""
        deadline, raw = time.monotonic() + WITHIN_S, b""
        while not enough(seen + raw.decode(errors="ignore").replace("\r", "")) and time.monotonic() < deadline:
            if select.select([self.screen], [], [], 0.1)[0]:
                raw += os.read(self.screen, 65536)
        return seen + raw.decode().replace("\r", "")

    def close(self) -> None:
        """End the shell and, if a test left it, the daemon."""
        for pid in self.background:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        os.close(self.screen)
        self.shell.wait(WITHIN_S)


def output_of(seen: str) -> str:
    """Return what a command printed: the shell's prompts and job notices are no part of it."""
    lines = re.sub(r"<\d+>next: ", "", seen).splitlines()
    return "\n".join(line for line in lines if not re.match(r"\[\d+\]", line)).strip()


def matches(shows: str, output: str) -> bool:
    """Tell whether the output has the shape that the README shows."""
    shown, lines = shows.strip().splitlines(), output.splitlines()
    return len(shown) == len(lines) and all(
        re.fullmatch(pattern_of(a), squeezed(b)) for a, b in zip(shown, lines, strict=True)
    )


def pattern_of(line: str) -> str:
    """Return the pattern that a shown line stands for."""
    line = re.sub(r"(?<!\S)you(?!\S)", getpass.getuser(), squeezed(line))
    parts, at = [], 0
    for found in re.finditer("|".join(f"({kind})" for kind in DIFFERS), line):
        kind = DIFFERS[found.lastindex - 1]
        parts += [re.escape(line[at : found.start()]), ANY.get(kind, kind)]
        at = found.end()
    return "".join([*parts, re.escape(line[at:])])


def squeezed(line: str) -> str:
    return " ".join(line.split())


def quick_start() -> list[tuple[str, str]]:
    """Return the commands of the quick start, each with what it shows."""
    section = (ROOT / "README.md").read_text().split("## Quick start", 1)[1].split("\n## ", 1)[0]
    steps: list[tuple[str, str]] = []
    for line in "".join(BLOCK.findall(section)).splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line:
            steps[-1] = (steps[-1][0], f"{steps[-1][1]}{line}\n")
    return steps


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    home = Path(tempfile.mkdtemp(prefix="dcd-five-", dir="/tmp"))  # a socket's path must be short
    (home / "tmp").mkdir()
    shell = Terminal(home)
    yield shell
    shell.close()
    shutil.rmtree(home)


def test_the_quick_start_does_what_it_shows_and_leaves_nothing(terminal):
    for command, shows in quick_start():
        code, output = terminal.type(command, shows)
        assert code == 0, f"$ {command}\n{output}"
        assert matches(shows, output), f"$ {command}\n{output}\n--- but the README shows:\n{shows}"
    terminal.type("wait")
    left = [path.name for path in terminal.home.rglob("*")]
    assert [name for name in left if not name.startswith("torchinductor")] == ["tmp"]  # PyTorch's own cache stays


def test_the_quick_start_takes_at_least_six_commands_on_pretend_gpus():
    commands = [command for command, _ in quick_start()]
    assert len(commands) >= 6
    assert commands[0] == "dcd daemon run --demo &"


@pytest.mark.parametrize(
    ("shows", "output", "same"),
    [
        ("Queued job 1, 6 GPUs.", "Queued job 1, 6 GPUs.", True),
        ("Queued job 1, 6 GPUs.", "Queued job 2, 6 GPUs.", False),
        (" 1  running  12s/5m  4.0 Wh", " 1 running 998ms/5m 14 J", True),
        (" 1  running  12s/5m  4.0 Wh", " 1 failed  12s/5m  4.0 Wh", False),
        ("accuracy 0.97, gpu 93%, 612 W", "accuracy 0.5, gpu 7%, 70 W", True),
        ("dcdaemon 0.1.0 · ...", "dcdaemon 0.2.0 · demo", False),
        ("dcdaemon 0.1.0 · ...", "dcdaemon 0.1.0 · demo", True),
        ("one\ntwo", "one", False),
    ],
)
def test_the_shape_of_an_output(shows, output, same):
    assert matches(shows, output) is same
