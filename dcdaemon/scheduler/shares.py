"""GPUs that several jobs use at once, each a share of the memory, and how much room is left on them."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from dcdaemon.core.view import GpuSlot

#: What no share gets of a GPU: driver and firmware keep some memory for themselves.
RESERVE_BYTES = 1024**3


class Share(NamedTuple):
    """What one job has of a GPU, and since when; `started_at` is None for one that is being started."""

    mem_bytes: int
    started_at: float | None


class Opening(NamedTuple):
    """What one more job may have of a shared GPU, once all there have run for long enough since `newest_at`.

    Infinity while one is being started.
    """

    room_bytes: int
    newest_at: float


def capacity_bytes(slot: GpuSlot | None) -> int:
    """Return what shares may have of a GPU together, of one that is cut the largest; nothing where that is not known.

    An instance's memory is what its driver has left over already.
    """
    if slot is None:
        return 0
    if slot.instances is not None:
        return max((one.mem_total_bytes or 0 for one in slot.instances), default=0)
    return max(0, (slot.mem_total_bytes or 0) - RESERVE_BYTES)


@dataclass(slots=True)
class SharedGpus:
    """The shared GPUs of one node in one pass; `slots` has all its GPUs of which anything is known.

    `used` is what was measured on those that are shared: a GPU has no more room than both what its jobs declared and
    what they use leave of it.
    """

    slots: Mapping[int, GpuSlot] = field(default_factory=dict)
    on: dict[int, dict[int, Share]] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    #: Worked out once after each change: many jobs ask, and few get one.
    _openings: dict[int, Opening] = field(default_factory=dict, compare=False)

    def take(self, job_id: int, gpus: Iterable[int], share: Share) -> None:
        """Give a job a share."""
        for gpu in gpus:
            self.on.setdefault(gpu, {})[job_id] = share
            if gpu in self.used:
                # What was measured knows nothing of it yet.
                self.used[gpu] += share.mem_bytes
            self._openings.pop(gpu, None)

    def give_back(self, job_id: int, gpus: Iterable[int]) -> list[int]:
        """Take a job's share back; returns the GPUs that nobody shares any more."""
        left = []
        for gpu in gpus:
            share = self.on[gpu].pop(job_id)
            if gpu in self.used:
                self.used[gpu] -= share.mem_bytes
            self._openings.pop(gpu, None)
            if not self.on[gpu]:
                del self.on[gpu]
                left.append(gpu)
        return left

    def measure(self) -> None:
        """Go by what the newest samples say of the GPUs shared now."""
        measured = ((gpu, self.slots[gpu].mem_used_bytes) for gpu in self.on if gpu in self.slots)
        self.used = {gpu: used for gpu, used in measured if used is not None}
        self._openings.clear()

    def only(self, gpus: Collection[int]) -> Self:
        """Return these GPUs alone; to look at."""
        return type(self)(self.slots, {gpu: shares for gpu, shares in self.on.items() if gpu in gpus}, self.used)

    def opening(self, gpu: int) -> Opening:
        """Return what one more job may have of a shared GPU, and from when on."""
        known = self._openings.get(gpu)
        if known is None:
            shares = self.on[gpu].values()
            declared, used = sum(share.mem_bytes for share in shares), self.used.get(gpu, 0)
            newest_at = max(math.inf if share.started_at is None else share.started_at for share in shares)
            room_bytes = max(0, capacity_bytes(self.slots.get(gpu)) - max(declared, used))
            known = self._openings[gpu] = Opening(room_bytes, newest_at)
        return known

    def holds(self, gpu: int, mem_bytes: int) -> bool:
        """Say whether a share of that size would fit if nothing ran on the GPU."""
        slot = self.slots.get(gpu)
        return slot is not None and (slot.mem_total_bytes or 0) >= mem_bytes + RESERVE_BYTES

    def openings(self, mem_bytes: int, settled_by: float = math.inf) -> Iterator[int]:
        """Yield the shared GPUs that take one more such share; those on which all jobs started by then."""
        for gpu in self.on:
            room_bytes, newest_at = self._openings.get(gpu) or self.opening(gpu)
            if room_bytes >= mem_bytes and newest_at <= settled_by:
                yield gpu

    def loads_until(self, gpu: int, now: float, holdoff_s: float) -> float:
        """Return from when on a shared GPU takes one more job, where nothing but the hold-off is in its way."""
        newest_at = self.opening(gpu).newest_at
        return max(now, (now if newest_at == math.inf else newest_at) + holdoff_s)
