"""Limits on how much may run at once: of a user, an account, a queue, an array."""

from collections.abc import Mapping
from typing import Self

from dcdaemon.core.view import CapKey, ClusterView, QueuedJob, RunningJob

#: Of this kind of limit jobs are counted, of all others GPUs.
COUNTS_JOBS = "array"


class Tally:
    """What is left of each limit while one pass hands it out."""

    def __init__(self, left: Mapping[CapKey, int]) -> None:
        self._left = dict(left)

    @classmethod
    def of(cls, view: ClusterView) -> Self:
        """Return what the running jobs leave."""
        tally = cls(view.caps)
        if view.caps:
            seen: set[int] = set()
            for job in view.running:
                tally._charge(job, first=job.id not in seen)
                seen.add(job.id)
        return tally

    def refusing(self, job: QueuedJob) -> CapKey | None:
        """Return the first limit that the job would break, None when it breaks none."""
        return next((key for key in job.caps if self._left.get(key, _cost(key, job.gpus)) < _cost(key, job.gpus)), None)

    def allows(self, job: QueuedJob) -> bool:
        """Say whether the job breaks no limit."""
        return not job.caps or self.refusing(job) is None

    def take(self, job: QueuedJob) -> None:
        """Count a job that starts."""
        for key in job.caps:
            if key in self._left:
                self._left[key] -= _cost(key, job.gpus)

    def _charge(self, job: RunningJob, *, first: bool) -> None:
        for key in job.caps:
            if key in self._left and (first or key[0] != COUNTS_JOBS):
                self._left[key] -= _cost(key, len(job.gpus))


def _cost(key: CapKey, gpus: int) -> int:
    return 1 if key[0] == COUNTS_JOBS else gpus
