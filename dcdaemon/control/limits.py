"""The limits that unfinished jobs count against: of the configuration and of their arrays."""

from collections import Counter

from dcdaemon.core.job import UNFINISHED, Job, JobSpec
from dcdaemon.core.view import CapKey
from dcdaemon.scheduler.caps import Cap
from dcdaemon.scheduler.queues import Sharing


class Limits:
    """Which limits there are now; those of users and arrays without unfinished jobs are forgotten."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._of: dict[tuple[str, str, str, bool], tuple[CapKey, ...]] = {}
        self._jobs: Counter[CapKey] = Counter()
        self._most: dict[CapKey, int] = {}

    @property
    def most(self) -> dict[CapKey, int]:
        """What each limit allows; a copy."""
        return dict(self._most)

    def of(self, spec: JobSpec) -> tuple[CapKey, ...]:
        """Return the limits that a job counts against while it runs."""
        whose = (spec.user, spec.account, spec.queue, not spec.cpus and not spec.gpus)
        if whose not in self._of:
            self._of[whose] = self._sharing.caps_of(*whose[:3], no_cpu=whose[3])
        shared = self._of[whose]
        return shared if spec.array_limit is None else (*shared, (Cap.ARRAY, str(spec.array_id)))

    def note(self, before: Job | None, after: Job) -> None:
        """Keep the limits of a job that comes, forget those of the last one that goes; None: it was not unfinished."""
        if (before is not None) == (after.state in UNFINISHED):
            return
        for key in self.of(after.spec):
            self._jobs[key] += 1 if before is None else -1
            if self._jobs[key]:
                self._most[key] = self._allowed(key, after.spec)
            else:
                del self._jobs[key], self._most[key]

    def _allowed(self, key: CapKey, spec: JobSpec) -> int:
        most = spec.array_limit if key[0] == Cap.ARRAY else self._sharing.most(key)
        return most or 0
