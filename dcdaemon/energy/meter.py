"""The energy meter of one GPU: a fold over its samples that survives restarts, resets and gaps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from dcdaemon.core.energy import Metered
from dcdaemon.core.ports import MeterState
from dcdaemon.core.samples import GpuSample
from dcdaemon.energy.attribute import Holding, attribute
from dcdaemon.energy.integrate import MeterReading, measure, read, tells_energy


@dataclass(frozen=True, slots=True)
class Meter:
    """One GPU's meter; a value, so that a booking which the store refused can be measured again."""

    node: str
    gpu: int
    uuid: str
    reading: MeterReading | None = None

    @classmethod
    def resume(cls, node: str, gpu: int, uuid: str, states: Iterable[MeterState]) -> Self:
        """Go on where the stored meter of this very GPU stood, so that its downtime's energy is not lost."""
        for state in states:
            if state.uuid == uuid:
                return cls(node, gpu, uuid, MeterReading(state.at, None, state.counter_mj))
        return cls(node, gpu, uuid)

    def advance(self, sample: GpuSample, holdings: Sequence[Holding]) -> tuple[Self, Metered | None]:
        """Return the next meter and what was measured; None for a first, repeated or empty sample.

        `holdings` must also name the jobs that ended within the interval, those of a downtime included.
        """
        if not tells_energy(sample):
            return self, None
        if self.reading is None:
            return replace(self, reading=read(sample)), None
        measured = measure(self.reading, sample)
        if measured is None:
            return self, None
        metered = attribute(self.node, self.gpu, measured, sample.energy_counter_mj, holdings)
        return replace(self, reading=read(sample, measured.unbooked_mj)), metered
