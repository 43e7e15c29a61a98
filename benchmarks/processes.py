"""What processes cost: CPU seconds, resident memory, and the share of it that is their own."""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds a process and its ended threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mb(pid: int) -> tuple[float, float]:
    """Return resident memory (pages shared with others count fully), and the share that is its own (PSS), in MB."""
    values = _memory(pid)
    return values["Rss"], values["Pss"]


def private_mb(pid: int) -> float:
    """Return the memory that goes with the process when it ends (USS), in MB."""
    values = _memory(pid)
    return values["Private_Clean"] + values["Private_Dirty"]


def _memory(pid: int) -> dict[str, float]:
    values = dict.fromkeys(("Rss", "Pss", "Private_Clean", "Private_Dirty"), 0.0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in values:
            values[name] = int(rest.split()[0]) * 1024 / 1e6
    return values


def role(pid: int) -> str:
    """Name a process by what it does."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    for part, name in (("nvml_child", "telemetry child"), ("forkserver", "fork-server"), ("daemon", "daemon")):
        if any(part in word for word in words):
            return name
    return words[0]
