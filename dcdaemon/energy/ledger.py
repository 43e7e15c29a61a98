"""One step of a node's ledger: from the newest samples and who held what, to the rows to be booked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from dcdaemon.core.energy import Metered
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.ports import MeterState, UsageDelta
from dcdaemon.core.samples import GpuReading, GpuSample
from dcdaemon.energy.attribute import Holding
from dcdaemon.energy.integrate import MAX_GAP_S
from dcdaemon.energy.meter import Meter
from dcdaemon.energy.usage import merge, usage_deltas


@dataclass(frozen=True, slots=True)
class Booking:
    """What one step adds to the ledger; book both in one transaction."""

    metered: tuple[Metered, ...]
    usage: tuple[UsageDelta, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The meters of a node; a value: keep the next one only when the store has taken the booking."""

    node: str
    states: tuple[MeterState, ...] = ()
    meters: dict[int, Meter] = field(default_factory=dict)
    seen_s: dict[int, float] = field(default_factory=dict)

    def advance(self, reading: GpuReading, holdings: Sequence[Holding]) -> tuple[Self, Booking]:
        """Return the ledger after this reading, and what to book; samples seen before are passed over."""
        infos = {info.index: info for info in reading.gpus}
        meters, seen_s = dict(self.meters), dict(self.seen_s)
        metered: list[Metered] = []
        usage: list[UsageDelta] = []
        for sample in reading.samples:
            info = infos.get(sample.gpu)
            if info is None or sample.monotonic_s <= seen_s.get(sample.gpu, float("-inf")):
                continue
            meters[sample.gpu], interval = self._meter(info).advance(sample, holdings)
            if interval is not None:
                metered.append(interval)
            usage += _usage(sample, seen_s.get(sample.gpu), holdings)
            seen_s[sample.gpu] = sample.monotonic_s
        return type(self)(self.node, self.states, meters, seen_s), Booking(tuple(metered), tuple(merge(usage)))

    def _meter(self, info: GpuInfo) -> Meter:
        known = self.meters.get(info.index)
        if known is not None and known.uuid == info.uuid:
            return known
        return Meter.resume(self.node, info.index, info.uuid, self.states)


def _usage(sample: GpuSample, seen_s: float | None, holdings: Sequence[Holding]) -> list[UsageDelta]:
    # One reading of utilisation does not speak for a long silence before it.
    if seen_s is None or sample.monotonic_s - seen_s > MAX_GAP_S:
        return []
    return usage_deltas([sample], holdings, sample.monotonic_s - seen_s)
