"""The ledger of MemoryStore: energy, usage and meters in plain dictionaries."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dcdaemon.core.energy import IDLE, Metered
from dcdaemon.core.errors import BadInput
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Usage
from dcdaemon.core.ports import EnergyRow, MeterState, UsageDelta

_HOUR_S = 3600

Place = tuple[str, int, int, int]  # node, GPU, hour, job


@dataclass(slots=True)
class MemoryLedger:
    """What was booked; its owner sees to it that one thread uses it at a time."""

    usage: dict[int, Usage] = field(default_factory=dict)
    _booked: dict[Place, tuple[int, float]] = field(default_factory=dict)
    _meters: dict[tuple[str, int], MeterState] = field(default_factory=dict)

    def book(self, metered: Sequence[Metered], deltas: Sequence[UsageDelta], gpus: Mapping[int, GpuInfo]) -> None:
        """Add intervals and usage, all or nothing; raise ValueError for parts that do not add up."""
        for interval in metered:
            if sum(share.energy_mj for share in interval.shares) != interval.energy_mj:
                msg = f"the parts of {interval} do not add up"
                raise ValueError(msg)
        for interval in metered:
            gpu = gpus.get(interval.gpu)
            state = MeterState(interval.gpu, gpu.uuid if gpu else "", interval.to_at, interval.counter_mj)
            self._meters[interval.node, interval.gpu] = state
            self._book(interval)
        for delta in deltas:
            self._use(delta)

    def _book(self, interval: Metered) -> None:
        hour = int(interval.to_at // _HOUR_S) * _HOUR_S
        for share in interval.shares:
            place = (interval.node, interval.gpu, hour, share.job_id)
            energy_mj, held_s = self._booked.get(place, (0, 0.0))
            self._booked[place] = energy_mj + share.energy_mj, held_s + share.held_s
            if share.job_id != IDLE:
                so_far = self.usage.get(share.job_id, Usage(share.job_id))
                self.usage[share.job_id] = replace(
                    so_far,
                    energy_mj=so_far.energy_mj + share.energy_mj,
                    gpu_s=so_far.gpu_s + share.held_s,
                    method=interval.method.value if so_far.method in (None, interval.method.value) else "mixed",
                )

    def _use(self, delta: UsageDelta) -> None:
        so_far = self.usage.get(delta.job_id, Usage(delta.job_id))
        peaks = [peak for peak in (so_far.mem_peak_bytes, delta.mem_peak_bytes) if peak is not None]
        self.usage[delta.job_id] = replace(
            so_far,
            util_s=so_far.util_s + delta.util_s,
            sampled_s=so_far.sampled_s + delta.sampled_s,
            mem_peak_bytes=max(peaks, default=None),
        )

    def meters(self, node: str) -> list[MeterState]:
        """Return where the meters of the node stand."""
        return [state for (where, _), state in sorted(self._meters.items()) if where == node]

    def energy(self, node: str, users: Mapping[int, str], by: str, since: float | None) -> list[EnergyRow]:
        """Sum what was booked, largest first; `since` counts from the start of its hour."""
        key_of = _key_of(node, users, by)
        first_hour = 0 if since is None else int(since // _HOUR_S) * _HOUR_S
        sums: defaultdict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
        for place, (energy_mj, held_s) in self._booked.items():
            if place[2] >= first_hour:
                key = key_of(*place)
                sums[key] = sums[key][0] + energy_mj, sums[key][1] + held_s
        rows = [EnergyRow(key, energy_mj, held_s) for key, (energy_mj, held_s) in sums.items()]
        return sorted(rows, key=lambda row: (-row.energy_mj, row.key))


def _key_of(node: str, users: Mapping[int, str], by: str) -> Callable[[str, int, int, int], str]:
    keys: dict[str, Callable[[str, int, int, int], str]] = {
        "user": lambda _node, _gpu, _hour, job: "idle" if job == IDLE else users.get(job, "unknown"),
        "job": lambda _node, _gpu, _hour, job: "idle" if job == IDLE else str(job),
        "gpu": lambda where, gpu, _hour, _job: str(gpu) if where == node else f"{where}:{gpu}",
        "day": lambda _node, _gpu, hour, _job: time.strftime("%Y-%m-%d", time.localtime(hour)),
    }
    if by not in keys:
        msg = f"energy cannot be summed by {by!r}"
        raise BadInput(msg, "choose one of user, job, gpu, day")
    return keys[by]
