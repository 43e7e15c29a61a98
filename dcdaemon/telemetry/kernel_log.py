"""Follows the kernel log through journalctl, in a thread of its own, for as long as the daemon lives."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dcdaemon.core.collector import CollectorReport, Lack
from dcdaemon.core.event import Event, EventKind, Tell

NAME = "kernel log"
#: `setpriv` lets it end with the daemon: it writes nothing for days, and would not notice on its own.
COMMAND = (
    "setpriv", "--pdeathsig", "TERM", "journalctl", "--dmesg", "--follow", "--output=json", "--output-fields=MESSAGE",
)  # fmt: skip
#: Where journald keeps what it heard (systemd-journald.service(8)); without either there is nothing to follow.
JOURNALS = (Path("/run/log/journal"), Path("/var/log/journal"))
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
#: A journalctl that lived so long is started again at once.
_LONG_LIFE_S = 60.0
#: A line without "NVRM", as text or as the bytes of a text that is not clean, is not worth reading as JSON.
_SIGNS = (b"NVRM", b"78, 86, 82, 77", b"78,86,82,77")
_QUOTED = 200
_NO_JOURNAL = Lack("no journal is kept here: XIDs come from NVML alone", "run systemd-journald")

#: Told the time and the text of a line of the driver.
Take = Callable[[float, str], None]
Report = Callable[[CollectorReport], None]


class KernelLog:
    """Hands every line of the NVIDIA driver to `take`; a journalctl that ends is started again where it left off."""

    def __init__(
        self, take: Take, tell: Tell, command: Sequence[str] = COMMAND, report: Report = lambda _: None,
        *, journals: Sequence[Path] = JOURNALS,
    ) -> None:  # fmt: skip
        self._journals = journals
        self._take, self._tell, self._command, self._report = take, tell, tuple(command), report
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="kernel-log", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._cursor: str | None = None
        self._lack: Lack | None = None
        self._told: Lack | None = None

    def start(self) -> None:
        """Begin to follow it from now on; return at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop following it; return at once."""
        self._closing.set()
        if self._process is not None:
            self._process.kill()

    @property
    def speaks(self) -> bool:
        """Whether the log is being followed."""
        return self._lack is None and self._process is not None

    def _follow(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            if not any(any(journal.glob("*/*.journal")) for journal in self._journals):
                self._judge(_NO_JOURNAL)
                self._closing.wait(_LONGEST_PAUSE_S)
                continue
            missing = next((name for name in ("journalctl", self._command[0]) if not shutil.which(name)), None)
            if missing is not None:
                self._judge(Lack(f"{missing} is not here: XIDs come from NVML alone", f"install {missing}"))
                return
            born_s = time.monotonic()
            self._one_life()
            if time.monotonic() - born_s >= _LONG_LIFE_S:
                pause_s = _FIRST_PAUSE_S
            self._closing.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _one_life(self) -> None:
        where = ("--lines=0",) if self._cursor is None else ("--no-tail", f"--after-cursor={self._cursor}")
        said = b""
        try:
            process = subprocess.Popen(
                [*self._command, *where], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            self._judge(Lack(f"journalctl cannot be started: {error.strerror}", wrong=True))
            return
        with process:
            self._process = process
            self._judge(None)
            if self._closing.is_set():
                process.kill()
            for line in process.stdout or ():
                if line.startswith(b"{"):
                    self._hear(line)
                else:
                    said = line.strip() or said
        self._process = None
        if not self._closing.is_set():
            # Should the journal have forgotten the place where we were, the next one begins at its end.
            self._cursor = None if said else self._cursor
            words = said[:_QUOTED].decode("utf-8", "replace")
            self._judge(
                Lack(
                    f"journalctl ended with exit code {process.returncode}: {words or 'it says nothing'}",
                    "let the daemon read the journal: usermod -aG systemd-journal its user",
                    wrong=True,
                )
            )

    def _hear(self, line: bytes) -> None:
        if not any(sign in line for sign in _SIGNS):
            return
        try:
            entry = json.loads(line)
            at, text = int(entry["__REALTIME_TIMESTAMP"]) / 1e6, _text(entry["MESSAGE"])
            self._cursor = str(entry["__CURSOR"])
        except (ValueError, KeyError, TypeError):
            return
        self._take(at, text)

    def _judge(self, lack: Lack | None) -> None:
        """Report how it is doing, and tell what keeps it from being read when that is news."""
        if lack is not None and lack not in (_NO_JOURNAL, self._told):
            self._told = lack
            self._tell(Event(time.time(), EventKind.UNREADABLE, NAME, f"the kernel log cannot be read: {lack.why}"))
        self._lack = lack
        self._report(CollectorReport(NAME, None, lack=lack))


def _text(message: Any) -> str:
    """Return a message as text; one that is no UTF-8 comes as a list of bytes, and a huge one as null."""
    if isinstance(message, str):
        return message
    return bytes(message or ()).decode("utf-8", "replace")
