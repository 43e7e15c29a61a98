"""What a job waits for besides room: the ends of others, and the time of day."""

import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

from dcdaemon.core.job import ENDED, Fate, JobSpec, JobState


class Waits(NamedTuple):
    """What is open of a job's dependencies.

    `open` are those it waits for still; of these, any end of those in `any` will do, and those in `not_ok` must not
    succeed. `failed` is the first that ended as it must not, `over_at` when the last of the others was over, epoch
    seconds, 0 without any.
    """

    open: tuple[int, ...] = ()
    any: tuple[int, ...] = ()
    not_ok: tuple[int, ...] = ()
    failed: int | None = None
    over_at: float = 0.0

    @classmethod
    def of(cls, spec: JobSpec, fate_of: Callable[[int], Fate]) -> Self:
        """Look at each dependency: `after` wants success, `after_not_ok` an end without, `after_any` any end."""
        if not spec.dependencies:
            return cls()
        fates = {dep: fate_of(dep) for dep in spec.dependencies}
        over = {dep for dep, fate in fates.items() if fate.state in ENDED}
        well = {dep for dep, fate in fates.items() if fate.state is JobState.SUCCEEDED}
        ok = [dep for dep in spec.after if dep not in well]
        not_ok = [dep for dep in spec.after_not_ok if dep not in over or dep in well]
        any_end = [dep for dep in spec.after_any if dep not in over]
        failed = next((dep for dep in (*ok, *not_ok) if dep in over), None)
        over_at = max((fates[dep].ended_at or 0.0 for dep in over), default=0.0)
        return cls(tuple(dict.fromkeys((*ok, *not_ok, *any_end))), tuple(any_end), tuple(not_ok), failed, over_at)


class Begins:
    """Jobs that must not start before their time, the earliest first."""

    def __init__(self) -> None:
        self._now = 0.0
        self._heap: list[tuple[float, int]] = []
        self._listed: set[int] = set()

    def pending(self, job_id: int, begin_at: float | None) -> float | None:
        """Return the begin time of a waiting job, None when it has come or never was."""
        if begin_at is None or begin_at <= self._now:
            return None
        if job_id not in self._listed:
            heapq.heappush(self._heap, (begin_at, job_id))
            self._listed.add(job_id)
        return begin_at

    def pass_time(self, now: float) -> Iterable[int]:
        """Return the jobs whose time has come; some of them may have left the queue meanwhile."""
        self._now = now
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[1])
        self._listed.difference_update(due)
        return due

    @property
    def next(self) -> float | None:
        """The earliest begin time, epoch seconds."""
        return self._heap[0][0] if self._heap else None
