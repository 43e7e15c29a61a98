"""Jobs that differ in nothing but their age, so that of two of them the older one always goes first."""

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

    @classmethod
    def of(cls, job: QueuedJob, shape: Shape, *, by_owner: bool = True) -> Self:
        """Return the key of a job's group; the owner matters where it decides who goes first."""
        owner = (job.account, job.user) if by_owner else NOBODY
        limit_class = None if job.limit_s is None else length_class(job.limit_s)
        length = length_class(lasting_s(job))
        swapped_id = job.id if job.swapped else None
        return cls(-job.priority, job.queue, owner, shape.demand, job.caps, limit_class, length, swapped_id)


class Place(NamedTuple):
    """A job's place in its group; ids differ, so comparing never comes to the shape."""

    sequence: int
    job_id: int
    shape: Shape


@dataclass(slots=True)
class Group:
    """The jobs of one key, the oldest first."""

    key: GroupKey
    places: list[Place] = field(default_factory=list)


def shape_of(job: QueuedJob) -> Shape:
    """Return the job's shape, its prediction rounded to its class, so that a group is refused as one."""
    shape = Shape.of(job)
    if shape.predicted_s is None:
        return shape
    return shape._replace(predicted_s=typical_s(length_class(shape.predicted_s)))


def alone(job: QueuedJob) -> Group:
    """Return a group of this job only."""
    shape = shape_of(job)
    return Group(GroupKey.of(job, shape), [Place(job.sequence, job.id, shape)])
