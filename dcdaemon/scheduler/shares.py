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


def capacity_bytes(slot: GpuSlot | None) -> int:
    """Return what shares may have of a GPU together; nothing where its memory is not known."""
    return max(0, (slot.mem_total_bytes or 0) - RESERVE_BYTES) if slot is not None else 0


@dataclass(slots=True)
class SharedGpus:
    """The shared GPUs of one node in one pass; `slots` has all its GPUs of which anything is known.

    `used` is what was measured on those that are shared: a GPU has no more room than both what its jobs declared and
    what they use leave of it.
    """

    slots: Mapping[int, GpuSlot] = field(default_factory=dict)
    on: dict[int, dict[int, Share]] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)

    def take(self, job_id: int, gpus: Iterable[int], share: Share) -> None:
        """Give a job a share."""
        for gpu in gpus:
            self.on.setdefault(gpu, {})[job_id] = share
            if gpu in self.used:
                # What was measured knows nothing of it yet.
                self.used[gpu] += share.mem_bytes

    def give_back(self, job_id: int, gpus: Iterable[int]) -> list[int]:
        """Take a job's share back; returns the GPUs that nobody shares any more."""
        left = []
        for gpu in gpus:
            share = self.on[gpu].pop(job_id)
            if gpu in self.used:
                self.used[gpu] -= share.mem_bytes
            if not self.on[gpu]:
                del self.on[gpu]
                left.append(gpu)
        return left

    def measure(self) -> None:
        """Go by what the newest samples say of the GPUs shared now."""
        measured = ((gpu, self.slots[gpu].mem_used_bytes) for gpu in self.on if gpu in self.slots)
        self.used = {gpu: used for gpu, used in measured if used is not None}

    def only(self, gpus: Collection[int]) -> Self:
        """Return these GPUs alone; to look at."""
        return type(self)(self.slots, {gpu: shares for gpu, shares in self.on.items() if gpu in gpus}, self.used)

    def room_bytes(self, gpu: int) -> int:
        """Return how much more of a GPU may be shared out, however long its jobs have run."""
        declared = sum(share.mem_bytes for share in self.on.get(gpu, {}).values())
        used = self.used.get(gpu, 0) if gpu in self.on else 0
        return max(0, capacity_bytes(self.slots.get(gpu)) - max(declared, used))

    def holds(self, gpu: int, mem_bytes: int) -> bool:
        """Say whether a share of that size would fit if nothing ran on the GPU."""
        return capacity_bytes(self.slots.get(gpu)) >= mem_bytes

    def openings(self, mem_bytes: int, settled_by: float = math.inf) -> Iterator[int]:
        """Yield the shared GPUs that take one more such share; those on which all jobs started by then."""
        for gpu in self.on:
            if self.room_bytes(gpu) >= mem_bytes and self.is_settled(gpu, settled_by):
                yield gpu

    def is_settled(self, gpu: int, settled_by: float) -> bool:
        """Say whether all jobs on a shared GPU started by then; the newest one may be loading until then."""
        if settled_by == math.inf:
            return True
        return all(share.started_at is not None and share.started_at <= settled_by for share in self.on[gpu].values())

    def loads_until(self, gpu: int, now: float, holdoff_s: float) -> float:
        """Return from when on a shared GPU takes one more job, where nothing but the hold-off is in its way."""
        starts = (now if share.started_at is None else share.started_at for share in self.on[gpu].values())
        return max(now, max(starts) + holdoff_s)
