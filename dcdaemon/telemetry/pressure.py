"""Reads how long tasks were stalled for CPU, memory and I/O (PSI), from /proc/pressure."""

import re
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.core.samples import Lack
from dcdaemon.telemetry.kernel_file import Faults, ParsedFile
from dcdaemon.telemetry.numbers import decimal, whole

_LINE = re.compile(r"^(some|full) avg10=(\S+) .*total=(\S+)$", re.MULTILINE)
_MICROSECONDS = 1_000_000
_LACK = Lack("this kernel does not tell stalls for CPU, memory and I/O (PSI)", "boot Linux 4.20 or later with psi=1")


@dataclass(frozen=True, slots=True)
class Stalls:
    """One resource: the share of the last 10 s in which some task waited, and seconds waited in total."""

    some_ratio: float | None
    some_s: float | None
    full_s: float | None


_UNKNOWN = Stalls(None, None, None)


class Pressure:
    """The pressure values of HostSample."""

    def __init__(self, proc: Path, tell: Tell) -> None:
        faults = Faults(tell)
        self._files = [ParsedFile(proc / "pressure" / name, parse_pressure, faults) for name in ("cpu", "memory", "io")]
        self._silent = False

    def read(self, at: float) -> dict[str, float | None]:
        """Return shares and total times now; that all tasks wait for CPU has no meaning for a whole node."""
        read = [file.read(at) for file in self._files]
        self._silent = not any(read)
        cpu, memory, io = (stalls or _UNKNOWN for stalls in read)
        return {
            "psi_cpu_some_ratio": cpu.some_ratio,
            "psi_mem_some_ratio": memory.some_ratio,
            "psi_io_some_ratio": io.some_ratio,
            "stalled_cpu_some_s": cpu.some_s,
            "stalled_mem_some_s": memory.some_s,
            "stalled_mem_full_s": memory.full_s,
            "stalled_io_some_s": io.some_s,
            "stalled_io_full_s": io.full_s,
        }

    def lack(self) -> Lack | None:
        """Tell why there are no values."""
        return _LACK if self._silent else None


def parse_pressure(text: str) -> Stalls | None:
    """Read one file of /proc/pressure; None when a line says no number."""
    lines = {who: (_ratio(average), _seconds(total)) for who, average, total in _LINE.findall(text)}
    some, full = lines.get("some"), lines.get("full")
    if some is None or None in some or (full is not None and full[1] is None):
        return None
    return Stalls(some[0], some[1], full[1] if full else None)


def _ratio(percent: str) -> float | None:
    number = decimal(percent)
    return None if number is None else number / 100


def _seconds(microseconds: str) -> float | None:
    count = whole(microseconds)
    return None if count is None else count / _MICROSECONDS
