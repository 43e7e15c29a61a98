"""The jobs of a recording: when each came, how long it ran and how many GPUs it took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge
from typing import NamedTuple, Self

from dcdaemon.core.job import JobState


class RecordedJob(NamedTuple):
    """One job of a recording; `limit_s` is the time limit its user gave, None for none.

    `user` and `command` say whose it is and what runs are alike, nothing where the recording does not tell; `state` is
    how it ended.
    """

    submit_s: float
    duration_s: float
    gpus: int
    limit_s: float | None = None
    user: str = ""
    command: str = ""
    state: JobState = JobState.SUCCEEDED


@dataclass(slots=True)
class LeftOut:
    """How many jobs of a recording are not played, and why."""

    without_gpus: int = 0
    never_ran: int = 0
    too_wide: int = 0

    def plus(self, other: Self) -> Self:
        """Return the sum."""
        return type(self)(
            self.without_gpus + other.without_gpus, self.never_ran + other.never_ran, self.too_wide + other.too_wide
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """A recording: its jobs in the order in which they were submitted."""

    name: str
    jobs: Sequence[RecordedJob]
    left_out: LeftOut = field(default_factory=LeftOut)

    def with_load(self, others: Iterable["Workload"]) -> "Workload":
        """Return this workload with the jobs of others on top, each at its own time."""
        loads = [self, *others]
        left_out = self.left_out
        for other in loads[1:]:
            left_out = left_out.plus(other.left_out)
        jobs = list(merge(*(load.jobs for load in loads), key=lambda job: job.submit_s))
        return Workload(" + ".join(load.name for load in loads), jobs, left_out)

    def without_wide(self, widest_gpus: int) -> "Workload":
        """Return the jobs that fit into so many GPUs; the others are counted."""
        jobs = [job for job in self.jobs if job.gpus <= widest_gpus]
        too_wide = len(self.jobs) - len(jobs)
        return replace(self, jobs=jobs, left_out=self.left_out.plus(LeftOut(too_wide=too_wide)))

    def offered_ratio(self, gpus: int) -> float | None:
        """Return the GPU time asked for over that of so many GPUs while jobs came in; None when all came at once."""
        span_s = self.jobs[-1].submit_s - self.jobs[0].submit_s if self.jobs else 0.0
        return sum(job.gpus * job.duration_s for job in self.jobs) / (gpus * span_s) if span_s > 0 else None
