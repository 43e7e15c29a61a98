"""What the scheduler decided: a value, carried out by one applier."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Start:
    """Start this job on these GPUs of this node; `backfilled` when it passed the head of the queue."""

    job_id: int
    node: str
    gpus: tuple[int, ...]
    backfilled: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept for the job at the head: node, the GPUs it counts on, and when they are free at the latest."""

    job_id: int
    node: str
    gpus: tuple[int, ...]
    at: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The starts of one cycle, in order, and the head's reservation if someone has to wait."""

    starts: tuple[Start, ...]
    reservation: Reservation | None
    made_at: float
