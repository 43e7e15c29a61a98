"""What the processes of a job do, from /proc: which rank each is, what it waits in, how much CPU time it used."""

import os
from collections.abc import Iterable
from pathlib import Path

from dcdaemon.core.vitals import RankVitals

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_RANK = b"RANK="
_NOWHERE = ("", "0")


def rank_vitals(pids: Iterable[int]) -> tuple[RankVitals, ...]:
    """Return the ranks among a job's processes, by rank; all of its processes where none has one."""
    stats = {pid: stat for pid in pids if (stat := _stat(pid)) is not None}
    ranks = {pid: _rank(pid) for pid in stats}
    # What a rank starts inherits its environment, and is no rank of its own.
    heads = {pid: rank for pid, rank in ranks.items() if rank is not None and ranks.get(stats[pid].parent) is None}
    if not heads:
        return tuple(_vitals(pid, None, stats[pid].state, stats[pid].cpu_s) for pid in sorted(stats))
    found = [_vitals(pid, rank, stats[pid].state, _cpu_below(pid, stats)) for pid, rank in heads.items()]
    return tuple(sorted(found, key=lambda one: (one.rank or 0, one.pid)))


class _Stat:
    """Fields 3, 4, 14 and 15 of proc(5), behind the name, which may hold anything."""

    def __init__(self, text: bytes) -> None:
        fields = text.rpartition(b")")[2].split()
        self.state, self.parent = fields[0].decode(), int(fields[1])
        self.cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _stat(pid: int) -> _Stat | None:
    try:
        return _Stat((_PROC / str(pid) / "stat").read_bytes())
    except (OSError, IndexError):
        return None


def _rank(pid: int) -> int | None:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    text = next((variable[len(_RANK) :] for variable in variables if variable.startswith(_RANK)), b"")
    return int(text) if text.isdigit() and len(text) < 10 else None


def _cpu_below(head: int, stats: dict[int, _Stat]) -> float:
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    family = [head]
    for pid in family:  # grows while it is walked
        family += children.pop(pid, [])
    return sum(stats[pid].cpu_s for pid in family)


def _vitals(pid: int, rank: int | None, state: str, cpu_s: float) -> RankVitals:
    try:
        waits_in = (_PROC / str(pid) / "wchan").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        waits_in = ""
    return RankVitals(rank, pid, state, None if waits_in in _NOWHERE else waits_in, cpu_s)
