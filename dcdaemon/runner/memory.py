"""The memory of processes that have no control group of their own, each page counted once."""

import re
from collections.abc import Iterable
from pathlib import Path

#: smaps_rollup and status of proc(5).
_PROPORTIONAL = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB$", re.MULTILINE)
_RESIDENT = re.compile(rb"^Rss(?:Anon|Shmem):\s+(\d+) kB$", re.MULTILINE)
PROC = Path("/proc")


def held_bytes(pids: Iterable[int], worth_bytes: float = 0.0, proc: Path = PROC) -> int | None:
    """Return what these processes hold of memory that the kernel cannot take back; None when there is none to ask.

    A mapped file does not count: its pages can be read again. What is shared counts by its share (PSS). Below
    `worth_bytes` a cheap upper bound is returned instead: the exact sum makes the kernel walk every page table.
    """
    resident = ((pid, _sum(proc / str(pid) / "status", _RESIDENT)) for pid in pids)
    bounds = {pid: bound for pid, bound in resident if bound is not None}
    upper = sum(bounds.values())
    if not bounds or upper < worth_bytes:
        return upper if bounds else None
    return sum(_proportional_bytes(proc / str(pid), bound) for pid, bound in bounds.items())


def _proportional_bytes(process: Path, bound: int) -> int:
    """Return the share of a process; what may not be looked into counts in full, what is gone not at all."""
    found = _sum(process / "smaps_rollup", _PROPORTIONAL)
    if found is not None:
        return found
    return bound if process.exists() else 0


def _sum(path: Path, pattern: re.Pattern[bytes]) -> int | None:
    try:
        found = pattern.findall(path.read_bytes())
    except OSError:
        return None
    return sum(map(int, found)) * 1024 if found else None
