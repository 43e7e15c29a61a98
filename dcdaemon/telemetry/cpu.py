"""Reads how busy the CPUs are: utilisation from /proc/stat, load from /proc/loadavg."""

from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.telemetry.kernel_file import Faults, ParsedFile
from dcdaemon.telemetry.numbers import decimal, wholes

_COUNTED_TIMES = 8
#: Room for the line of all CPUs together, which comes first; the others can be many and are not looked at.
_FIRST_LINE_BYTES = 256


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Clock ticks since boot, of all CPUs together."""

    idle: int
    total: int


class Cpu:
    """The CPU values of HostSample; utilisation is that since the last reading, so the first has none."""

    def __init__(self, proc: Path, tell: Tell) -> None:
        faults = Faults(tell)
        self._stat = ParsedFile(proc / "stat", parse_cpu_times, faults, size=_FIRST_LINE_BYTES)
        self._loadavg = ParsedFile(proc / "loadavg", parse_loadavg, faults)
        self._before: CpuTimes | None = None

    def read(self, at: float) -> dict[str, float | None]:
        """Return utilisation and load now."""
        before, now = self._before, self._stat.read(at)
        self._before = now
        return {"cpu_util_ratio": utilisation(before, now), "load_1m": self._loadavg.read(at)}


def utilisation(before: CpuTimes | None, now: CpuTimes | None) -> float | None:
    """Return the share of CPU time in use between two readings."""
    if before is None or now is None or now.total <= before.total:
        return None
    idle_ratio = (now.idle - before.idle) / (now.total - before.total)
    # The kernel's idle and iowait counts can step back a little (proc_stat(5)).
    return min(1.0, max(0.0, 1 - idle_ratio))


def parse_cpu_times(text: str) -> CpuTimes | None:
    """Read the first line of /proc/stat; waiting for I/O is idle, guests are already part of user time."""
    fields = text.partition("\n")[0].split()
    if len(fields) < 1 + _COUNTED_TIMES or fields[0] != "cpu":
        return None
    times = wholes(fields[1 : 1 + _COUNTED_TIMES])
    return CpuTimes(idle=times[3] + times[4], total=sum(times)) if times else None


def parse_loadavg(text: str) -> float | None:
    """Read the mean of running and waiting tasks over one minute."""
    return decimal(text.partition(" ")[0])
