"""Energy as the ledger writes it down: integers of millijoules whose parts add up to what was measured."""

from dataclasses import dataclass
from enum import StrEnum

#: The job id under which energy is booked that no job used.
IDLE = 0


class EnergyMethod(StrEnum):
    """Where the joules come from."""

    COUNTER = "counter"
    POWER = "power"


@dataclass(frozen=True, slots=True)
class EnergyShare:
    """One part of a measured interval of one GPU; `job_id` IDLE when no job held it."""

    node: str
    gpu: int
    job_id: int
    energy_mj: int
    held_s: float


@dataclass(frozen=True, slots=True)
class Metered:
    """One measured interval of one GPU; its parts add up to `energy_mj` exactly; in `gap_s` nothing was measured."""

    node: str
    gpu: int
    from_at: float
    to_at: float
    energy_mj: int
    method: EnergyMethod
    shares: tuple[EnergyShare, ...]
    counter_mj: int | None
    gap_s: float = 0.0
    reset: bool = False
