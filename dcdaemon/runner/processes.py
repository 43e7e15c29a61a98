"""Processes by identity: a pid with its start time, because a pid alone may be somebody else by now."""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dcdaemon.runner import cgroup
from dcdaemon.runner.records import RunRecord

PROC = Path("/proc")
#: A job's unit, directly in a slice of its manager's: one that a user starts is below that user's own service.
_JOB_UNIT = re.compile(rb"/(?:[^/]+\.slice/)*dcd-job-(\d+)\.(?:scope|service)(?:/.*)?")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of this boot: its pid and its start in clock ticks since boot."""

    pid: int
    start_ticks: int

    def alive(self) -> bool:
        """Tell whether exactly this process still runs; a zombie does not."""
        stat = _read_stat(self.pid)
        return stat is not None and stat.start_ticks == self.start_ticks and not stat.ended

    def open_pidfd(self) -> int | None:
        """Return a pidfd that holds exactly this process, or None when it is gone; the caller closes it."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():
            return fd
        os.close(fd)
        return None

    def send(self, number: signal.Signals) -> bool:
        """Signal exactly this process; False when it is gone."""
        fd = self.open_pidfd()
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True


@cache
def boot_id() -> str:
    """Return the kernel's name for this boot: no process of another one lives."""
    return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def identify(pid: int) -> Identity | None:
    """Return the living process that has this pid now; None when there is none."""
    stat = _read_stat(pid)
    return None if stat is None or stat.ended else Identity(pid, stat.start_ticks)


def parent_of(pid: int) -> int | None:
    """Return the pid of a process's parent; None when it is gone."""
    stat = _read_stat(pid)
    return None if stat is None else stat.parent


def descendants(ancestor: Identity) -> tuple[Identity, ...]:
    """Return every process below this one, at whatever depth."""
    children: dict[int, list[Identity]] = {}
    for pid, stat in _all():
        children.setdefault(stat.parent, []).append(Identity(pid, stat.start_ticks))
    found = children.pop(ancestor.pid, [])
    for process in found:  # grows while it is walked: breadth first
        found += children.pop(process.pid, [])
    return tuple(found)


def members(group: cgroup.Cgroup) -> tuple[Identity, ...]:
    """Return the processes in a job's control group; none when it is gone."""
    directory = group.directory()
    pids = () if directory is None else cgroup.pids_in(directory)
    return tuple(found for pid in pids if (found := identify(pid)) is not None)


def leftovers(run: RunRecord, report_path: Path) -> tuple[Identity, ...]:
    """Return the processes of a job whose shim is gone: those of its unit, or of its session and with its environment.

    The environment counts only in processes of the job's own user: nobody can plant a leftover for another.
    """
    if run.cgroup is not None:
        return members(run.cgroup)
    main = _read_stat(run.pid)
    session_is_ours = main is None or main.start_ticks == run.pid_start_ticks  # else the number was given out again
    marker = b"DCD_REPORT_PATH=" + os.fsencode(report_path)
    found = []
    for pid, stat in _all():
        if stat.start_ticks < run.pid_start_ticks:
            continue
        if (session_is_ours and stat.session == run.pid) or _carries(PROC / str(pid), run.uid, marker):
            found.append(Identity(pid, stat.start_ticks))
    return tuple(found)


def _carries(entry: Path, uid: int, marker: bytes) -> bool:
    try:
        return entry.stat().st_uid == uid and marker in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone meanwhile, or not ours to read


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    session: int
    start_ticks: int
    ended: bool


def _read_stat(pid: int) -> _Stat | None:
    """Read fields 3, 4, 6 and 22 of proc(5), counted behind the name, which may hold anything."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) <= 19:
        return None
    state, parent, session, ticks = fields[0], int(fields[1]), int(fields[3]), int(fields[19])
    return _Stat(parent, session, ticks, ended=state in (b"Z", b"X"))


def _all() -> Iterator[tuple[int, _Stat]]:
    """Yield every living process."""
    for name in os.listdir(PROC):  # noqa: PTH208  hundreds of entries: paths would double the cost
        stat = _read_stat(int(name)) if name.isdecimal() else None
        if stat is not None and not stat.ended:
            yield int(name), stat


def group_is_empty(run: RunRecord) -> bool:
    """Tell whether nothing of a job can be left: cheaply, by its unit, or by the group its session began with."""
    if run.cgroup is not None:
        return not members(run.cgroup)
    try:
        os.killpg(run.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def job_of_unit(pid: int, manager: str = "") -> int | None:
    """Return the job whose systemd unit a process is in, by its control group (cgroups(7)); None when in none.

    `manager` is the control group of the service manager that starts the units; a user's own is not the system's.
    """
    try:
        lines = (PROC / str(pid) / "cgroup").read_bytes().splitlines()
    except OSError:
        return None
    below = os.fsencode(manager)
    groups = (path.removeprefix(below) for line in lines if (path := line.split(b":", 2)[-1]).startswith(below))
    match = next(filter(None, map(_JOB_UNIT.fullmatch, groups)), None)
    return None if match is None else int(match[1])


def parents(pid: int) -> Iterator[int]:
    """Yield a process's parent, its parent, and so on; ends at the first that is gone."""
    stat = _read_stat(pid)
    while stat is not None and stat.parent > 1:
        yield stat.parent
        stat = _read_stat(stat.parent)
