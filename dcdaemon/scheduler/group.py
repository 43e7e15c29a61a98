"""Jobs that differ in nothing but their age, so that of two of them the older one always goes first.

Where deadlines decide, jobs that have one make groups of their own, in which they differ in that, too.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Self

from dcdaemon.core.view import CapKey, QueuedJob
from dcdaemon.scheduler.order import lasting_s, length_class, typical_s
from dcdaemon.scheduler.shape import Demand, Shape

NOBODY = ("", "")


class GroupKey(NamedTuple):
    """What the jobs of a group share."""

    minus_priority: int
    queue: str
    owner: tuple[str, str]
    demand: Demand
    caps: tuple[CapKey, ...]
    limit_class: int | None
    length: int
    #: A job that was stopped and waits again is no older than others by its place: it has a group of its own.
    swapped_id: int | None = None
    due: bool = False

    @classmethod
    def of(cls, job: QueuedJob, shape: Shape, *, by_owner: bool = True, by_deadline: bool = True) -> Self:
        """Return the key of a job's group; owner and deadline matter where they decide who goes first."""
        owner = (job.account, job.user) if by_owner else NOBODY
        limit_class = None if job.limit_s is None else length_class(job.limit_s)
        length = length_class(lasting_s(job))
        swapped_id = job.id if job.swapped else None
        due = by_deadline and job.deadline_at is not None
        return cls(-job.priority, job.queue, owner, shape.demand, job.caps, limit_class, length, swapped_id, due)


class Place(NamedTuple):
    """A job's place in its group; ids differ, so comparing never comes to the shape.

    `due_at` is its deadline where the group is of jobs that have one, else 0.
    """

    due_at: float
    sequence: int
    job_id: int
    shape: Shape


@dataclass(slots=True)
class Group:
    """The jobs of one key, the oldest first; where they have deadlines, the first to be due."""

    key: GroupKey
    places: list[Place] = field(default_factory=list)

    def oldest(self) -> Place:
        """Return the place of the oldest job."""
        return min(self.places, key=lambda place: place.sequence) if self.key.due else self.places[0]


def shape_of(job: QueuedJob) -> Shape:
    """Return the job's shape, its prediction rounded to its class, so that a group is refused as one."""
    shape = Shape.of(job)
    if shape.predicted_s is None:
        return shape
    return shape._replace(predicted_s=typical_s(length_class(shape.predicted_s)))


def place_of(job: QueuedJob, key: GroupKey, shape: Shape) -> Place:
    """Return a job's place in the group of its key."""
    return Place((job.deadline_at or 0.0) if key.due else 0.0, job.sequence, job.id, shape)


def alone(job: QueuedJob) -> Group:
    """Return a group of this job only."""
    shape = shape_of(job)
    key = GroupKey.of(job, shape)
    return Group(key, [place_of(job, key, shape)])
