"""A made-up life of a busy node, as samples: values as noisy, and counters as quiet, as real ones are."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from dcdaemon.core.metric import Kind, Metric, metrics_of
from dcdaemon.core.samples import (
    AnySample,
    BmcSample,
    DiskSample,
    DriveSample,
    FilesystemSample,
    GpuSample,
    HostSample,
    IbSample,
    NetSample,
    RaplSample,
    SensorSample,
)

SWEEP_S = 5
#: A day between two wholes hours, so that all ends of buckets fall in place.
T0 = 20_400 * 86400

#: The same life each time.
_chance = random.Random(7).random  # noqa: S311  nothing secret

Value = Callable[[], Any]
_STILL = ("rows_", "row_", "remap", "retired", "recovery", "pcie_link", "nvlink_l")


@dataclass
class Device:
    """One device; every call of `read` is its next reading."""

    kind: Any
    names: dict[str, Any]
    busy: bool = True
    values: dict[str, Value] = field(default_factory=dict)

    @property
    def every_s(self) -> int:
        """Return how often it is stored: as often as it is read, and never more often than each sweep."""
        return max(SWEEP_S, int(min(one.every_s for one in metrics_of(self.kind))))

    def read(self, at: float) -> AnySample:
        """Return the next reading."""
        if not self.values:
            types = {one.name: one.type for one in fields(self.kind)}
            self.values = {one.attribute: self._value(one, types[one.attribute]) for one in metrics_of(self.kind)}
        clock = {"monotonic_s": at - T0} if self.kind is GpuSample else {}
        read: AnySample = self.kind(
            at=at, **clock, **self.names, **{name: value() for name, value in self.values.items()}
        )
        return read

    def _value(self, one: Metric, annotation: Any) -> Value:
        value = _value(one, annotation)
        if self.busy or one.kind is Kind.FACT:
            return value
        still = None if one.attribute.endswith("latency_s") else value() if one.kind is Kind.COUNTER else 0
        return lambda: still


def node_devices(gpus: int = 8) -> list[Device]:
    """Return the devices of a node with everything on."""
    return [
        *(Device(GpuSample, {"gpu": gpu}) for gpu in range(gpus)),
        Device(HostSample, {}),
        Device(BmcSample, {}),
        *(Device(DiskSample, {"device": f"nvme{disk}n1"}, busy=disk < 8) for disk in range(10)),
        *(Device(FilesystemSample, {"mount": f"/scratch/disk{disk}"}) for disk in range(10)),
        *(Device(DriveSample, {"device": f"nvme{disk}n1"}) for disk in range(10)),
        *(Device(NetSample, {"interface": f"enp{card}s0"}, busy=card < 4) for card in range(10)),
        *(Device(IbSample, {"device": f"mlx5_{card}", "port": 1}) for card in range(8)),
        *(Device(RaplSample, {"domain": f"package-{package}"}) for package in range(2)),
        *(
            Device(SensorSample, {"chip": "coretemp-isa-0000", "sensor": f"Package id {package}"})
            for package in range(2)
        ),
        *(Device(SensorSample, {"chip": f"nvme-pci-{chip}100", "sensor": "Composite"}) for chip in range(10)),
    ]


def sweeps(devices: list[Device], start: int, count: int) -> Iterator[list[AnySample]]:
    """Yield one sweep after the other, every five seconds."""
    for at in range(start, start + count * SWEEP_S, SWEEP_S):
        yield [device.read(at + 0.25) for device in devices if at % device.every_s == 0]


def _value(one: Metric, annotation: Any) -> Value:
    whole, words = int in get_args(annotation), str in get_args(annotation)
    if one.kind is Kind.COUNTER:
        return _growing(one.attribute, whole=whole)
    if words or bool in get_args(annotation):
        fixed = (None if one.attribute == "error" else "ACTIVE") if words else True
        return lambda: fixed
    return _moving(one, whole=whole)


def _growing(name: str, *, whole: bool) -> Value:
    """Traffic, time and energy grow with every reading, errors hardly ever."""
    busy = name.endswith(("_bytes", "_mj", "reads", "writes", "packets_in", "packets_out", "segments_out", "busy_s"))
    busy = busy or name in {"read_s", "write_s", "queued_s", "stalled_io_some_s", "stalled_cpu_some_s", "wait_ticks"}
    most = {"_bytes": 5e9, "_mj": 4e6, "_s": 1.0}.get("_" + name.rpartition("_")[2], 50_000.0)
    now = _chance() * most * 10_000 if busy else 0.0

    def value() -> Any:
        nonlocal now
        if busy or _chance() < 0.001:
            now += _chance() * most if busy else 1
        return int(now) if whole else round(now, 3)

    return value


def _moving(one: Metric, *, whole: bool) -> Value:
    """Gauges: shares and rates are noisy, temperatures whole, facts and small counts stand still."""
    name = one.attribute
    if name == "fp64_active_ratio":
        return lambda: 0.0  # training does not use it
    if one.kind is Kind.FACT or name.startswith(_STILL):
        fixed = 3 if whole else 3.5
        return lambda: fixed
    unit = name.rpartition("_")[2]
    noisy: dict[str, Value] = {
        "ratio": lambda: 0.6 + _chance() * 0.3,
        "c": lambda: float(60 + int(_chance() * 5)),
        "hz": lambda: 1_980_000_000 - 15_000_000 * int(_chance() * 3),
        "bytes": lambda: 60 * 2**30 + int(_chance() * 2**14) * 2**20,
    }
    return noisy.get(unit, (lambda: int(_chance() * 100)) if whole else lambda: round(500 + _chance() * 200, 3))
