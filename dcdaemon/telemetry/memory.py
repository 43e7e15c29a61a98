"""Reads how much memory there is and how much can still be had, from /proc/meminfo."""

import re
from collections.abc import Mapping
from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.telemetry.kernel_file import Faults, ParsedFile
from dcdaemon.telemetry.numbers import whole

_WANTED = re.compile(r"^(MemTotal|MemAvailable|SwapTotal|SwapFree):[ \t]*(.*) kB$", re.MULTILINE)


class Memory:
    """The memory values of HostSample."""

    def __init__(self, proc: Path, tell: Tell) -> None:
        self._faults = Faults(tell)
        self._meminfo = ParsedFile(proc / "meminfo", parse_meminfo, self._faults)

    def read(self, at: float) -> dict[str, int | None]:
        """Return memory and swap now, in bytes."""
        found = self._meminfo.read(at) or {}
        self._tell_odd(at, found)
        return {
            "mem_total_bytes": found.get("MemTotal"),
            "mem_available_bytes": found.get("MemAvailable"),
            "swap_used_bytes": _used(found.get("SwapTotal"), found.get("SwapFree")),
        }

    def _tell_odd(self, at: float, found: Mapping[str, int | None]) -> None:
        for name, count in found.items():
            if count is None:
                self._faults.say(at, name, f"/proc/meminfo says no number for {name}")
            else:
                self._faults.over(name)


def parse_meminfo(text: str) -> dict[str, int | None] | None:
    """Read the wanted lines into bytes, None for a line that says no number; None when there are no such lines."""
    return {name: whole(kib.strip(), 1024) for name, kib in _WANTED.findall(text)} or None


def _used(total: int | None, free: int | None) -> int | None:
    return None if total is None or free is None or free > total else total - free
