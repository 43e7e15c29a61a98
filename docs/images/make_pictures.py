# noqa: INP001  a script beside what it draws, not a package
"""Draw the README's pictures from a real run: a demo daemon, real trainings, and what the commands print about them.

Run it with `.venv/bin/python docs/images/make_pictures.py`; it takes two minutes.
"""

import contextlib
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
COLUMNS = 100
WITHIN_S = 300.0
#: Drawn without Rich's link to a font on the web: a picture in a README loads nothing.
SVG = """\
<svg xml:space="preserve" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px "DejaVu Sans Mono", Menlo, Consolas, monospace; \
line-height: {line_height}px; white-space: pre; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font: 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
#: What is queued: options of `dcd submit`, then the training program and its options.
JOBS = (
    ("-g 4 -t 20m -n digits-gan", "digits_gan"),
    ("-g 1 -t 20m -n notebook -c 0", "idle_holder --seconds 60"),
    ("-g 2 -t 20m -n digits-cnn", "digits_cnn --epochs 60 --patience 60"),
    ("-g 4 -t 20m -n tumours", "tabular_transformer"),
    ("-g 8 -t 10m -n sunspots", "sunspots_lstm"),
    ("-g 1 -t 20m -n buggy", "crasher"),
)


class Demo:
    """One demo daemon in a directory of its own, and the commands typed at it."""

    def __init__(self, directory: Path) -> None:
        """Keep the settings that let it touch nothing else."""
        self.directory = directory
        self.program = str(BIN / "dcd")
        self.env = {
            "HOME": str(directory), "PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "xterm",
            "DCD_DAEMON__SOCKET": str(directory / "dcd.sock"), "DCD_JOBS__CPUS": "16",
        }  # fmt: skip

    @contextlib.contextmanager
    def daemon(self) -> Iterator[None]:
        """Run the daemon; its first line says that it answers."""
        command = [self.program, "daemon", "run", "--demo"]
        with subprocess.Popen(command, env=self.env, cwd=self.directory, stdout=subprocess.PIPE, text=True) as daemon:
            try:
                assert daemon.stdout is not None  # noqa: S101  a pipe was asked for
                daemon.stdout.readline()
                yield
            finally:
                self.dcd("cancel", "all", "--yes")
                daemon.terminate()

    def dcd(self, *words: str) -> str:
        """Return what a command prints into a pipe."""
        command = [self.program, *words]
        done = subprocess.run(
            command, env=self.env, cwd=self.directory, stdout=subprocess.PIPE, text=True, check=False, timeout=60
        )
        return done.stdout

    def shown(self, *words: str) -> str:
        """Return what a command shows on a terminal, colours included."""
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        with subprocess.Popen(
            [self.program, *words], env=self.env, cwd=self.directory, stdin=terminal, stdout=terminal, stderr=terminal
        ):
            os.close(terminal)
            text = b""
            with contextlib.suppress(OSError):  # the terminal is closed with its last writer
                while part := os.read(screen, 65536):
                    text += part
        os.close(screen)
        return text.decode().replace("\r\n", "\n").rstrip()

    def jobs(self) -> dict[str, dict[str, object]]:
        """Return the jobs by name."""
        return {job["name"]: job for job in json.loads(self.dcd("ps", "--all", "--json"))["jobs"]}

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a moment worth a picture."""
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(self.dcd("ps", "--all"))
            time.sleep(1)


def main() -> None:
    """Run the jobs and draw them twice: at work, and when all is over."""
    with tempfile.TemporaryDirectory(prefix="dcd-pictures-") as directory:
        demo = Demo(Path(directory))
        with demo.daemon():
            for options, program in JOBS:
                demo.dcd("submit", *options.split(), "--", "python", "-m", *f"dcdaemon.workloads.{program}".split())
            demo.until(lambda: busy(demo))
            draw(demo, "queue", ["ps"], ["gpus"], ["why", "5"])
            demo.until(lambda: all(job["ended_at"] for job in demo.jobs().values()))
            draw(demo, "ledger", ["history", "--columns", LEDGER], ["energy", "--by", "job"], ["anomalies"])


LEDGER = "id,name,state,wait,run,gpu-h,load,energy,note"


def busy(demo: Demo) -> bool:
    """Tell whether two trainings have reported, and the notebook was found idle."""
    jobs = demo.jobs()
    return bool(jobs["digits-gan"]["reported"] and jobs["digits-cnn"]["reported"] and jobs["notebook"]["anomalies"])


def draw(demo: Demo, name: str, *commands: Sequence[str]) -> None:
    """Write one picture: each command and what it printed."""
    console = Console(record=True, width=COLUMNS + 1, file=io.StringIO(), force_terminal=True, highlight=False)
    for number, words in enumerate(commands):
        console.print(Text.assemble("\n" if number else "", ("$ ", "bright_black"), (f"dcd {' '.join(words)}", "bold")))
        console.print(Text.from_ansi(demo.shown(*words)))
    console.save_svg(
        str(HERE / f"{name}.svg"), title="dcdaemon", code_format=SVG, unique_id=name, font_aspect_ratio=0.602
    )


if __name__ == "__main__":
    main()
