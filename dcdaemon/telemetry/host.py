"""LinuxHost: all collectors of the node's own hardware, read in one sweep."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from dcdaemon.core.event import Event, Tell
from dcdaemon.core.ports import Clock
from dcdaemon.core.roles import HOST_COLLECTORS, USUAL_ROLES, CollectorPlan
from dcdaemon.core.samples import (
    CollectorReport,
    DiskSample,
    FilesystemSample,
    HostReading,
    HostSample,
    Lack,
    NetSample,
    Sample,
)
from dcdaemon.telemetry.bmc import Bmc
from dcdaemon.telemetry.collecting import Collector, Run
from dcdaemon.telemetry.cpu import Cpu
from dcdaemon.telemetry.disk import DiskCounters
from dcdaemon.telemetry.drives import DriveHealth
from dcdaemon.telemetry.edac import Edac
from dcdaemon.telemetry.filesystem import FilesystemProbes
from dcdaemon.telemetry.hwmon import Sensors
from dcdaemon.telemetry.infiniband import InfinibandPorts
from dcdaemon.telemetry.kernel_file import Faults
from dcdaemon.telemetry.memory import Memory
from dcdaemon.telemetry.network import Interfaces
from dcdaemon.telemetry.nfs import NfsCounters
from dcdaemon.telemetry.pressure import Pressure
from dcdaemon.telemetry.rapl import Rapl
from dcdaemon.telemetry.resets import Resets
from dcdaemon.telemetry.tcp import Tcp

#: Collectors that every node can have; the others are made from the configuration.
_MAKERS: Mapping[str, Callable[[Path, Path, Tell], Collector]] = {
    "cpu": lambda proc, _sys, tell: Cpu(proc, tell),
    "memory": lambda proc, _sys, tell: Memory(proc, tell),
    "pressure": lambda proc, _sys, tell: Pressure(proc, tell),
    "tcp": lambda proc, _sys, tell: Tcp(proc, tell),
    "edac": lambda _proc, sys, tell: Edac(sys, tell),
    "rapl": lambda _proc, sys, tell: Rapl(sys, tell),
    "sensors": lambda _proc, sys, tell: Sensors(sys, tell),
    "disks": DiskCounters,
    "filesystems": lambda proc, _sys, tell: FilesystemProbes(proc, tell),
    "interfaces": Interfaces,
    "nfs": lambda proc, _sys, tell: NfsCounters(proc, tell),
    "drives": lambda _proc, _sys, tell: DriveHealth(tell),
    "infiniband": lambda _proc, sys, tell: InfinibandPorts(sys, tell),
    "bmc": lambda _proc, _sys, tell: Bmc(tell),
}
_NAMED = (DiskSample, FilesystemSample, NetSample)
AnyOf = TypeVar("AnyOf")


def _quiet(_event: Event) -> None:
    """Tell nobody."""


class _Time:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class LinuxHost:
    """Implements HostSource on Linux; a collector that fails or hangs costs its own values and no others.

    `extra` holds collectors made from the configuration, by their names in the table.
    """

    #: How long a sweep waits for collectors that read in threads of their own; later answers go with the next one.
    patience_s = 0.25

    def __init__(
        self, proc: str | Path = "/proc", sys: str | Path = "/sys", tell: Tell = _quiet, *,
        roles: Collection[str] = USUAL_ROLES, extra: Mapping[str, Collector] = MappingProxyType({}),
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self._clock = clock or _Time()
        self._resets = Resets(tell)
        faults = Faults(tell)
        self._runs: list[Run] = []
        self._idle: list[CollectorReport] = []
        for plan in HOST_COLLECTORS:
            maker = _MAKERS.get(plan.name)
            if not plan.runs_on(roles):
                self._idle.append(_idle(plan, f"needs the role {' or '.join(plan.roles)}"))
            elif plan.name in extra:
                self._runs.append(Run(plan, extra[plan.name], faults))
            elif maker is not None:
                self._runs.append(Run(plan, maker(Path(proc), Path(sys), tell), faults))
            else:
                self._idle.append(_idle(plan, "none is configured"))

    def read(self) -> HostReading:
        """Read what is due now; CPU utilisation is that since the last reading, so the first has none."""
        at, now_s = self._clock.now(), self._clock.monotonic()
        for run in self._runs:
            run.begin(at, now_s)
        results = {run.plan.name: run.take(at, now_s, 0.0) for run in self._runs if not run.plan.apart}
        until_s = time.monotonic() + self.patience_s
        for run in self._runs:
            if run.plan.apart:
                results[run.plan.name] = run.take(at, now_s, until_s - time.monotonic())
        reading = _reading(at, results, (*(run.report() for run in self._runs), *self._idle))
        self._resets.check(reading.samples())
        return reading

    def close(self) -> None:
        """End the collectors' threads and let go of their files."""
        for run in self._runs:
            run.close()
        self._runs.clear()


def _idle(plan: CollectorPlan, why: str) -> CollectorReport:
    return CollectorReport(plan.name, plan.every_s, running=False, lack=Lack(why))


def _reading(at: float, results: Mapping[str, Any], reports: tuple[CollectorReport, ...]) -> HostReading:
    values: dict[str, Any] = {}
    samples: list[Sample] = []
    for result in results.values():
        if isinstance(result, dict):
            values |= result
        elif result:
            samples += result
    return HostReading(
        host=HostSample(at=at, **values),
        disks=tuple(_of(DiskSample, samples)),
        filesystems=tuple(_of(FilesystemSample, samples)),
        nets=tuple(_of(NetSample, samples)),
        others=tuple(sample for sample in samples if not isinstance(sample, _NAMED)),
        collectors=reports,
    )


def _of(kind: type[AnyOf], samples: list[Sample]) -> Iterator[AnyOf]:
    return (sample for sample in samples if isinstance(sample, kind))
