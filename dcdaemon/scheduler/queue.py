"""The waiting jobs, indexed so that a pass costs groups and starts, not jobs.

Jobs that differ in nothing but their age form a group; of a group only the oldest is looked at.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.due import parted
from dcdaemon.scheduler.group import Group, GroupKey, place_of, shape_of
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.shape import Demand
from dcdaemon.scheduler.walk import Walk


def order_of(job: QueuedJob) -> tuple[int, int, int]:
    """Return the sort key of the plain queue: higher priority first, then first in, first out."""
    return (-job.priority, job.sequence, job.id)


def is_ready(job: QueuedJob) -> bool:
    """Say whether the job waits for nothing but room; `begin_at` is taken off when its time has come."""
    return not job.held and not job.waits_for and job.failed_dependency is None and job.begin_at is None


class QueueIndex:
    """All waiting jobs, kept by the caller; those that wait for more than room cost a pass nothing.

    Where no queue is served by fair-share and nothing is booked, `by_owner` may be False: jobs of all owners then share
    their groups. Where none is served by deadline, `by_deadline` may be False, and jobs of all deadlines do.
    """

    def __init__(self, jobs: Iterable[QueuedJob] = (), *, by_owner: bool = True, by_deadline: bool = True) -> None:
        self._by_owner, self._by_deadline = by_owner, by_deadline
        self._jobs: dict[int, QueuedJob] = {}
        self._groups: dict[GroupKey, Group] = {}
        self._demands: dict[Demand, int] = {}
        for job in jobs:
            self.add(job)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[QueuedJob]:
        return iter(self._jobs.values())

    @property
    def by_owner(self) -> bool:
        """Whether jobs of different owners have groups of their own."""
        return self._by_owner

    @property
    def by_deadline(self) -> bool:
        """Whether jobs of different deadlines have groups of their own."""
        return self._by_deadline

    @property
    def has_deadlines(self) -> bool:
        """Whether a ready job has a deadline that may decide who goes first."""
        return self._by_deadline and any(key.due for key in self._groups)

    @property
    def demands(self) -> Iterable[Demand]:
        """What ready jobs ask for, each demand once."""
        return self._demands

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

    def ordered(self, ranking: Ranking | None = None) -> list[QueuedJob]:
        """Return all jobs, held ones too, in the order of the ranking; without one first in, first out."""
        if ranking is None:
            return sorted(self._jobs.values(), key=order_of)
        ranking.line_up(self._heads())
        return sorted(self._jobs.values(), key=lambda job: (ranking.rank_of(job), job.sequence, job.id))

    def copy(self) -> Self:
        """Return an index that can be changed without changing this one."""
        twin = type(self)(by_owner=self._by_owner, by_deadline=self._by_deadline)
        twin._jobs = dict(self._jobs)  # noqa: SLF001  its own kind
        twin._groups = {key: Group(key, list(group.places)) for key, group in self._groups.items()}  # noqa: SLF001
        twin._demands = dict(self._demands)  # noqa: SLF001
        return twin

    def without(self, job_ids: Iterable[int]) -> Self:
        """Return a copy in which these jobs do not wait; ids that do not wait are passed over."""
        twin = self.copy()
        for job_id in job_ids:
            if job_id in twin:
                twin.remove(job_id)
        return twin

    def line_up(self, ranking: Ranking) -> None:
        """Let the ranking know which of several orders goes first."""
        ranking.line_up(self._heads())

    def walk(self, ranking: Ranking, only: Callable[[GroupKey], bool] | None = None) -> Walk:
        """Return a walk over the ready jobs in order; the index must not change meanwhile.

        `only` leaves groups out, where a group has one owner; promised jobs come in any case.
        """
        self.line_up(ranking)
        groups: Iterable[Group] = self._groups.values()
        if only is not None and self._by_owner:
            groups = [group for group in groups if only(group.key)]
        promised = [self._jobs[job_id] for job_id in ranking.promised if job_id in self._jobs]
        groups = parted(groups, ranking, self._jobs) if self._by_deadline else groups
        return Walk(self._jobs, groups, ranking, [job for job in promised if is_ready(job)])

    def _heads(self) -> Iterator[QueuedJob]:
        return (self._jobs[group.oldest().job_id] for group in self._groups.values())

    def _join_group(self, job: QueuedJob) -> None:
        shape = shape_of(job)
        key = GroupKey.of(job, shape, by_owner=self._by_owner, by_deadline=self._by_deadline)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key)
        insort(group.places, place_of(job, key, shape))
        self._demands[shape.demand] = self._demands.get(shape.demand, 0) + 1

    def _leave_group(self, job: QueuedJob) -> None:
        shape = shape_of(job)
        key = GroupKey.of(job, shape, by_owner=self._by_owner, by_deadline=self._by_deadline)
        group = self._groups[key]
        del group.places[bisect_left(group.places, place_of(job, key, shape))]
        if not group.places:
            del self._groups[key]
        self._demands[shape.demand] -= 1
        if not self._demands[shape.demand]:
            del self._demands[shape.demand]
