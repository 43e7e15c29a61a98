"""Following the kernel log, through programs that stand for journalctl."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import alive, until

from dcdaemon.core.collector import CollectorReport
from dcdaemon.core.event import Event, EventKind
from dcdaemon.telemetry.kernel_log import COMMAND, KernelLog

XID = "NVRM: Xid (PCI:0000:11:00): 31, pid=77, MMU Fault"


def entry(message: object, cursor: str = "c1", at_us: int = 1_000_000_250_000) -> str:
    return json.dumps({"MESSAGE": message, "__REALTIME_TIMESTAMP": str(at_us), "__CURSOR": cursor})


def keep_journal(folder: Path) -> None:
    machine = folder / "journal" / "0123456789abcdef"
    machine.mkdir(parents=True)
    (machine / "system.journal").touch()


class Log:
    """A KernelLog over a program that prints these lines, and then waits or ends with a code."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[tuple[float, str]] = []
        self.told: list[Event] = []
        self.reports: list[CollectorReport] = []
        self._folder = folder
        keep_journal(folder)
        self.followers: list[KernelLog] = []

    def follow(self, *lines: str, end: int | None = None) -> KernelLog:
        program = self._folder / "journal.py"
        program.write_text(
            textwrap.dedent(f"""
                import os, sys, time
                with open({str(self._folder / "calls")!r}, "a") as calls:
                    print(os.getpid(), *sys.argv[1:], file=calls)
                for line in {list(lines)!r}:
                    print(line, flush=True)
                time.sleep({0 if end is not None else 600})
                sys.exit({end or 0})
            """)
        )
        return self.start([sys.executable, str(program)])

    def start(self, command: list[str]) -> KernelLog:
        log = KernelLog(
            lambda at, text: self.heard.append((at, text)), self.told.append, command, self.reports.append,
            journals=(self._folder / "journal",),
        )  # fmt: skip
        self.followers.append(log)
        log.start()
        return log

    def calls(self) -> list[str]:
        calls = self._folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    monkeypatch.setattr("dcdaemon.telemetry.kernel_log._FIRST_PAUSE_S", 0.05)
    made = Log(tmp_path)
    yield made
    for follower in made.followers:
        follower.close()
        follower._thread.join(10)
        assert not follower._thread.is_alive()


def test_lines_of_the_driver_are_heard_with_their_time_and_all_others_passed_over(log):
    follower = log.follow(
        entry("usb 1-1: new device"), entry(XID), "{ NVRM no JSON", entry(["N", 999]), entry(None),
        entry(list(b"NVRM: \xff bytes")), entry("NVRM: last", at_us=2_000_000),
    )  # fmt: skip
    until(lambda: len(log.heard) == 3)
    assert log.heard == [(1_000_000.25, XID), (1_000_000.25, "NVRM: \ufffd bytes"), (2.0, "NVRM: last")]
    assert follower.speaks
    assert log.told == []
    assert log.reports[-1].lack is None


def test_a_journalctl_that_ends_is_started_again_where_it_left_off_and_told_once(log):
    log.follow(entry(XID, cursor="s=7;i=9"), end=1)
    until(lambda: len(log.calls()) >= 3)
    first, second, *_ = (call.split(" ", 1)[1] for call in log.calls())
    assert (first, second) == ("--lines=0", "--no-tail --after-cursor=s=7;i=9")
    assert [(event.kind, event.subject) for event in log.told] == [(EventKind.UNREADABLE, "kernel log")]
    assert log.told[0].message == ("the kernel log cannot be read: journalctl ended with exit code 1: it says nothing")
    assert any(report.lack and report.lack.wrong for report in log.reports)


def test_what_journalctl_says_about_itself_is_passed_on_and_its_place_forgotten(log):
    log.follow(entry(XID), "Failed to seek to cursor: Invalid argument", end=1)
    until(lambda: len(log.calls()) >= 2)
    assert log.calls()[1].endswith(" --lines=0")
    assert log.told[0].message.endswith("exit code 1: Failed to seek to cursor: Invalid argument")


def test_a_machine_without_journalctl_is_told_once_and_asked_no_more(log, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "journalctl" else f"/bin/{name}")
    follower = log.follow(entry(XID))
    follower._thread.join(10)
    assert not follower._thread.is_alive()
    assert not follower.speaks
    assert [event.message for event in log.told] == [
        "the kernel log cannot be read: journalctl is not here: XIDs come from NVML alone",
    ]
    assert (log.reports[-1].name, log.reports[-1].lack.wrong) == ("kernel log", False)
    assert log.calls() == []


def test_where_no_journal_is_kept_nothing_is_started_and_nothing_told(log, tmp_path):
    shutil.rmtree(tmp_path / "journal")
    follower = log.follow(entry(XID))
    until(lambda: log.reports)
    assert (log.reports[-1].lack.why, log.reports[-1].lack.wrong) == (
        "no journal is kept here: XIDs come from NVML alone",
        False,
    )
    follower.close()
    follower._thread.join(10)
    assert (log.told, log.calls(), follower.speaks) == ([], [], False)


def test_closing_ends_the_program(log):
    follower = log.follow(entry(XID))
    until(lambda: log.heard)
    pid = int(log.calls()[0].split()[0])
    assert alive(pid)
    follower.close()
    follower._thread.join(10)
    assert not alive(pid)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv here")
def test_the_program_ends_with_the_daemon(tmp_path):
    """Even one that is killed: nothing is written to the journal for days, so that it would never notice."""
    program = (
        "import time\n"
        "from pathlib import Path\n"
        "from dcdaemon.telemetry.kernel_log import COMMAND, KernelLog\n"
        f"follower = ['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 600']\n"
        f"log = KernelLog(print, print, [*COMMAND[:3], *follower], journals=[Path({str(tmp_path / 'journal')!r})])\n"
        "log.start()\n"
        "time.sleep(600)\n"
    )
    keep_journal(tmp_path)
    assert COMMAND[:3] == ("setpriv", "--pdeathsig", "TERM")
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as daemon:
        pid_file = tmp_path / "pid"
        until(lambda: pid_file.exists() and pid_file.read_text().strip())
        follower = int(pid_file.read_text())
        assert alive(follower)
        daemon.kill()
    until(lambda: not alive(follower))


@pytest.mark.skipif(not shutil.which("journalctl"), reason="no journalctl here")
@pytest.mark.parametrize("where", [["--lines=0"], ["--no-tail", "--lines=0"]])
def test_journalctl_knows_our_options(where):
    options = [option for option in COMMAND[COMMAND.index("journalctl") :] if option != "--follow"]
    ran = subprocess.run([*options, *where], capture_output=True, timeout=60, check=False, env=dict(os.environ))
    assert b"unrecognized" not in ran.stderr
    assert b"nvalid" not in ran.stderr
