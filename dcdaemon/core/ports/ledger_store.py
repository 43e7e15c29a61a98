"""The part of the store that keeps what jobs used: energy, GPU time, their own sums."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dcdaemon.core.energy import Metered
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import Usage


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """What one job used in one interval, to be added to its sums; `mem_peak_bytes` is a maximum."""

    job_id: int
    util_s: float
    sampled_s: float
    mem_peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class MeterState:
    """Where the energy meter of one GPU stood when it was last booked."""

    gpu: int
    uuid: str
    at: float
    counter_mj: int | None


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """A line of `dcd energy`: key is a user, job id, GPU, day or `idle`."""

    key: str
    energy_mj: int
    gpu_s: float


class LedgerStore(Protocol):
    """What was used: booked once, added up for whoever asks."""

    def book(self, metered: Sequence[Metered], usage: Sequence[UsageDelta]) -> None:
        """Add measured energy and usage to the ledger, and move the meters, in one durable transaction."""
        ...

    def meters(self) -> list[MeterState]:
        """Return where each GPU's meter stood."""
        ...

    def usage(self, job_ids: Iterable[int]) -> dict[int, Usage]:
        """Return the usage of each job that has any."""
        ...

    def energy(self, by: str, since: float | None) -> list[EnergyRow]:
        """Sum booked energy by `user`, `job`, `gpu` or `day` (node-local days), idle included; largest first."""
        ...

    def gpu_time(self, since: float, step_s: int) -> list[GpuTime]:
        """Return what each account and user used of this node's GPUs since then, summed up in steps of time.

        Attempts count when they have ended; an hour is the shortest step.
        """
        ...
