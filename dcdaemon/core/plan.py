"""What the scheduler decided: a value, carried out by one applier."""

from dataclasses import dataclass
from typing import NamedTuple


class Part(NamedTuple):
    """A gang's GPUs on one of its nodes."""

    node: str
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start this job on these GPUs of this node; `backfilled` when it passed the head of the queue.

    `also` names the further nodes of a gang: all of its parts start, or none.
    """

    job_id: int
    node: str
    gpus: tuple[int, ...]
    backfilled: bool = False
    also: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept for the job at the head: node, the GPUs it counts on, and when they are free at the latest.

    `also` names the further nodes of a gang; `at` is when the last of its nodes is free.
    """

    job_id: int
    node: str
    gpus: tuple[int, ...]
    at: float | None
    also: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The starts of one cycle, in order, and the head's reservation if someone has to wait."""

    starts: tuple[Start, ...]
    reservation: Reservation | None
    made_at: float
