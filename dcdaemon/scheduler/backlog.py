"""How much work is before each waiting job: what is left when there is too much of it to be played through."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from dcdaemon.core.view import ClusterView
from dcdaemon.scheduler.ahead import Line
from dcdaemon.scheduler.instances import name_of
from dcdaemon.scheduler.order import lasting_s
from dcdaemon.scheduler.queue import is_ready
from dcdaemon.scheduler.space import Hold, spaces_of


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all nodes have that no endless job holds; MIG instances are for jobs that ask for a part of a GPU."""

    gpus: int
    cpus: int
    mem_bytes: int
    instances: int = 0

    def share(self, gpus: int, cpus: int, mem_bytes: int, *, is_part: bool = False) -> float:
        """Return how much of it a job takes, of what it takes most of; infinity when there is none."""
        there = self.gpus + self.instances if is_part else self.gpus
        asked = ((gpus, there), (cpus, self.cpus), (mem_bytes, self.mem_bytes))
        return max((wanted / there if there > 0 else math.inf for wanted, there in asked if wanted), default=0.0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """`sums_s` are the seconds that the whole cluster has work for, up to each place in the line."""

    line: Line
    sums_s: Sequence[float]

    @classmethod
    def of(cls, view: ClusterView, line: Line, now: float) -> Self:
        """Add up what runs and what waits, everything as long as it is thought to last."""
        spaces = spaces_of(view)
        holds = [hold for space in spaces for hold in space.holds]
        endless = [hold for hold in holds if hold.expected_end(now) == math.inf]
        held = [name_of(gpu) is not None for hold in endless for gpu in hold.gpus]
        capacity = Capacity(
            sum(len(space.usable) for space in spaces) - held.count(False),
            sum(space.cpus_total for space in spaces) - sum(hold.cpus for hold in endless),
            sum(space.mem_total_bytes for space in spaces) - sum(hold.mem_bytes for hold in endless),
            sum(len(space.instances) for space in spaces) - held.count(True),
        )
        running_s = sum(_left_s(hold, capacity, now) for hold in holds)
        jobs = [line.job(key.job_id) for key in line.keys]
        waiting_s = (
            capacity.share(job.gpus, job.cpus, job.mem_bytes, is_part=job.gpu_mem_bytes is not None) * lasting_s(job)
            if is_ready(job)
            else 0.0
            for job in jobs
        )
        return cls(line, list(accumulate(waiting_s, initial=running_s)))

    def before_s(self, job_id: int) -> float | None:
        """Return the work before a job, in seconds of the whole cluster; None when it would never be done."""
        before_s = self.sums_s[self.line.place(job_id)]
        return before_s if before_s < math.inf else None


def _left_s(hold: Hold, capacity: Capacity, now: float) -> float:
    left_s = max(0.0, hold.expected_end(now) - now)
    is_part = hold.gpu_mem_bytes is not None
    share = capacity.share(len(hold.gpus), hold.cpus, hold.mem_bytes, is_part=is_part)
    return 0.0 if left_s == math.inf else left_s * share
