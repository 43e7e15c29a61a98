"""The waiting jobs, indexed so that a pass costs shapes and starts, not jobs.

Jobs of one priority and shape form a group; the first jobs of groups that differ only in their time limit
form a lane.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Self

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.walk import GroupKey, LaneKey, Place, Walk


def order_of(job: QueuedJob) -> tuple[int, int, int]:
    """Return the sort key of the queue: higher priority first, then first in, first out."""
    return (-job.priority, job.sequence, job.id)


def is_ready(job: QueuedJob) -> bool:
    """Say whether the job waits for nothing but room."""
    return not job.held and not job.waits_for and job.failed_dependency is None


class QueueIndex:
    """All waiting jobs, kept by the caller; those that wait for more than room cost a pass nothing."""

    def __init__(self, jobs: Iterable[QueuedJob] = ()) -> None:
        self._jobs: dict[int, QueuedJob] = {}
        self._groups: dict[GroupKey, list[Place]] = {}
        self._lanes: dict[LaneKey, list[Place]] = {}
        for job in jobs:
            self.add(job)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[QueuedJob]:
        return iter(self._jobs.values())

    def get(self, job_id: int) -> QueuedJob | None:
        """Return the waiting job, None when it does not wait."""
        return self._jobs.get(job_id)

    def add(self, job: QueuedJob) -> None:
        """Take in a job; raises ValueError when its id waits already."""
        if job.id in self._jobs:
            raise ValueError(f"job {job.id} waits already; replace it instead")
        self._jobs[job.id] = job
        if is_ready(job):
            self._join_group(job)

    def remove(self, job_id: int) -> QueuedJob:
        """Take a job out and return it; raises KeyError when it does not wait."""
        job = self._jobs.pop(job_id)
        if is_ready(job):
            self._leave_group(job)
        return job

    def replace(self, job: QueuedJob) -> None:
        """Put a changed job in the place of its old self; raises KeyError when it does not wait."""
        self.remove(job.id)
        self.add(job)

    def ordered(self) -> list[QueuedJob]:
        """Return all jobs, held ones too: higher priority first, then first in, first out."""
        return sorted(self._jobs.values(), key=order_of)

    def ahead_of(self, job: QueuedJob) -> list[QueuedJob]:
        """Return the ready jobs before this one, in order."""
        mine = order_of(job)
        return sorted((other for other in self if order_of(other) < mine and is_ready(other)), key=order_of)

    def copy(self) -> Self:
        """Return an index that can be changed without changing this one."""
        twin = type(self)()
        twin._jobs = dict(self._jobs)  # noqa: SLF001  its own kind
        twin._groups = {key: list(group) for key, group in self._groups.items()}  # noqa: SLF001
        twin._lanes = {key: list(lane) for key, lane in self._lanes.items()}  # noqa: SLF001
        return twin

    def without(self, job_ids: Iterable[int]) -> Self:
        """Return a copy in which these jobs do not wait; ids that do not wait are passed over."""
        twin = self.copy()
        for job_id in job_ids:
            if job_id in twin:
                twin.remove(job_id)
        return twin

    def walk(self) -> Walk:
        """Return a walk over the ready jobs in order; the index must not change meanwhile."""
        return Walk(self._jobs, self._groups, self._lanes)

    def _join_group(self, job: QueuedJob) -> None:
        place = Place.of(job)
        group = self._groups.setdefault(place.group, [])
        if not group or place < group[0]:
            lane = self._lanes.setdefault(place.lane, [])
            if group:
                del lane[bisect_left(lane, group[0])]
            insort(lane, place)
        insort(group, place)

    def _leave_group(self, job: QueuedJob) -> None:
        place = Place.of(job)
        group, lane = self._groups[place.group], self._lanes[place.lane]
        if place == group[0]:
            del lane[bisect_left(lane, place)]
            if len(group) > 1:
                insort(lane, group[1])
        del group[bisect_left(group, place)]
        if not group:
            del self._groups[place.group]
        if not lane:
            del self._lanes[place.lane]
