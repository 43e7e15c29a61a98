"""CPU time and memory of named processes, read straight from /proc: cheap enough for every second."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

CpuSeconds = dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class JobLoad:
    """What the processes of one job do now; `cpu_share` is in cores, so 2.0 is two cores busy."""

    cpu_share: float
    rss_bytes: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Stat:
    start_ticks: int
    cpu_s: float
    rss_bytes: int


def _stat(pid: int, proc: Path) -> _Stat | None:
    try:
        text = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The command stands in parentheses and may hold any character: fields are counted after the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return _Stat(
        start_ticks=int(fields[19]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return when a live process started, in clock ticks since boot; None when there is none."""
    stat = _stat(pid, proc)
    return stat.start_ticks if stat else None


def process_load(pids: Iterable[int], proc: Path = Path("/proc")) -> dict[int, float]:
    """Return the CPU seconds each live process has used so far; a dead one is left out."""
    stats = {pid: _stat(pid, proc) for pid in pids}
    return {pid: stat.cpu_s for pid, stat in stats.items() if stat}


def descendants(pid: int, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """Return the live children of a process and theirs, nearest first; none where the kernel lists none."""
    found: list[int] = []
    queue = [pid]
    while queue:
        children = _children(queue.pop(0), proc)
        found += children
        queue += children
    return tuple(found)


def _children(pid: int, proc: Path) -> list[int]:
    children: list[int] = []
    for path in (proc / str(pid) / "task").glob("*/children"):
        try:
            children += map(int, path.read_text().split())
        except OSError:
            continue
    return children


class LoadMeter:
    """Turns the CPU time of jobs' processes into their load since the last reading."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._read_s: float | None = None
        self._cpu_s: dict[int, CpuSeconds] = {}

    def load_of_jobs(self, pids_by_job: Mapping[int, Sequence[int]], now_s: float | None = None) -> dict[int, JobLoad]:
        """Return each job's load since the last call; a job's first reading has share 0."""
        now_s = time.monotonic() if now_s is None else now_s
        elapsed_s = 0.0 if self._read_s is None else now_s - self._read_s
        before, self._cpu_s = self._cpu_s, {}
        loads = {}
        for job, pids in pids_by_job.items():
            stats = {pid: stat for pid in pids if (stat := _stat(pid, self._proc))}
            self._cpu_s[job] = {(pid, stat.start_ticks): stat.cpu_s for pid, stat in stats.items()}
            loads[job] = JobLoad(
                cpu_share=_share(before.get(job), self._cpu_s[job], elapsed_s),
                rss_bytes=sum(stat.rss_bytes for stat in stats.values()),
                pids=tuple(stats),
            )
        self._read_s = now_s
        return loads


def _share(before: CpuSeconds | None, after: CpuSeconds, elapsed_s: float) -> float:
    """Return cores busy; a process not seen before started in between, so all it used counts."""
    if before is None or elapsed_s <= 0:
        return 0.0
    return sum(cpu_s - before.get(key, 0.0) for key, cpu_s in after.items()) / elapsed_s
