"""LinuxHost: CPU, memory and pressure of the node, with its disks, filesystems and networks."""

import time
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.samples import HostReading, HostSample
from dcdaemon.telemetry.disk import read_disks
from dcdaemon.telemetry.filesystem import FilesystemProbes
from dcdaemon.telemetry.network import read_nets
from dcdaemon.telemetry.numbers import decimal, text_of, whole, wholes

_COUNTED_CPU_TIMES = 8


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Clock ticks since boot, of all CPUs together."""

    idle: int
    total: int


class LinuxHost:
    """Implements HostSource on Linux; what a file does not tell is None."""

    def __init__(self, proc: str | Path = "/proc", sys: str | Path = "/sys") -> None:
        self._proc, self._sys = Path(proc), Path(sys)
        self._filesystems = FilesystemProbes(self._proc)
        self._cpu_before: CpuTimes | None = None

    def read(self) -> HostReading:
        """Read all sensors now; CPU utilisation is that since the last reading, so the first has none."""
        at = time.time()
        return HostReading(
            host=self._host(at),
            disks=read_disks(self._proc, self._sys, at),
            filesystems=self._filesystems.read(),
            nets=read_nets(self._proc, self._sys, at),
        )

    def _host(self, at: float) -> HostSample:
        memory = parse_meminfo(self._text("meminfo"))
        return HostSample(
            at=at,
            cpu_util_ratio=self._cpu_util_ratio(),
            load_1m=parse_loadavg(self._text("loadavg")),
            mem_total_bytes=memory.get("MemTotal"),
            mem_available_bytes=memory.get("MemAvailable"),
            swap_used_bytes=_difference(memory.get("SwapTotal"), memory.get("SwapFree")),
            psi_cpu_some_ratio=parse_pressure(self._text("pressure/cpu")),
            psi_mem_some_ratio=parse_pressure(self._text("pressure/memory")),
            psi_io_some_ratio=parse_pressure(self._text("pressure/io")),
        )

    def _cpu_util_ratio(self) -> float | None:
        before, now = self._cpu_before, parse_cpu_times(self._text("stat"))
        self._cpu_before = now
        if before is None or now is None or now.total <= before.total:
            return None
        idle_ratio = (now.idle - before.idle) / (now.total - before.total)
        # The kernel's idle and iowait counts can step back a little (proc_stat(5)).
        return min(1.0, max(0.0, 1 - idle_ratio))

    def _text(self, name: str) -> str:
        return text_of(self._proc / name)


def parse_cpu_times(text: str) -> CpuTimes | None:
    """Read the first line of /proc/stat; waiting for I/O is idle, guests are already part of user time."""
    fields = text.partition("\n")[0].split()
    if len(fields) < 1 + _COUNTED_CPU_TIMES or fields[0] != "cpu":
        return None
    times = wholes(fields[1 : 1 + _COUNTED_CPU_TIMES])
    return CpuTimes(idle=times[3] + times[4], total=sum(times)) if times else None


def parse_loadavg(text: str) -> float | None:
    """Read the mean of running and waiting tasks over one minute."""
    first, _, _ = text.partition(" ")
    return decimal(first)


def parse_meminfo(text: str) -> dict[str, int]:
    """Read /proc/meminfo into bytes."""
    rows = (line.split() for line in text.splitlines())
    found = ((row[0].rstrip(":"), whole(row[1], 1024)) for row in rows if len(row) == 3 and row[2] == "kB")
    return {name: count for name, count in found if count is not None}


def parse_pressure(text: str) -> float | None:
    """Read the share of the last 10 s in which some task was stalled; None on kernels without PSI."""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "some" and rest.startswith("avg10="):
            percent = decimal(rest.split()[0].removeprefix("avg10="))
            return None if percent is None else percent / 100
    return None


def _difference(total: int | None, part: int | None) -> int | None:
    return None if total is None or part is None else total - part
