"""What the scheduler decided: a value, carried out by one applier."""

from dataclasses import dataclass
from typing import NamedTuple


class Part(NamedTuple):
    """A gang's GPUs on one of its nodes."""

    node: str
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start this job on these GPUs of this node; `backfilled` when it passed a job that has a reservation.

    `also` names the further nodes of a gang: all of its parts start, or none. With `gpu_instance` it starts on that MIG
    instance of its GPU.
    """

    job_id: int
    node: str
    gpus: tuple[int, ...]
    backfilled: bool = False
    also: tuple[Part, ...] = ()
    gpu_instance: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept for a job that has to wait: node, the GPUs it counts on, and when they are free at the latest.

    MIG instances among the GPUs have the scheduler's own numbers for them, see scheduler/instances.py.

    `also` names the further nodes of a gang; `at` is when the last of its nodes is free if every job runs to its
    limit, None when one has none; `expected_at` is when predictions say so, where that is earlier. A sticky one
    stays on its GPUs from plan to plan. A promised one is sticky, and onto its GPUs no job is let by a guess: only one
    whose limit ends in time; it is made where limits tell when the job starts, or to one that has waited very long.
    """

    job_id: int
    node: str
    gpus: tuple[int, ...]
    at: float | None
    also: tuple[Part, ...] = ()
    expected_at: float | None = None
    promised: bool = False
    sticky: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """All its nodes."""
        return (Part(self.node, self.gpus), *self.also)


@dataclass(frozen=True, slots=True)
class Preemption:
    """Stop all these running jobs, so that this waiting one can start; none of them alone would do."""

    job_id: int
    victims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Swap:
    """Stop these running jobs, which wait again then, and start this one in their place once they have stopped."""

    start: Start
    victims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The starts of one cycle, in order, and what is kept for those who have to wait, the head of the queue first.

    There are `swaps` only where the policy has them.
    """

    starts: tuple[Start, ...]
    reservations: tuple[Reservation, ...]
    made_at: float
    swaps: tuple[Swap, ...] = ()

    @property
    def reservation(self) -> Reservation | None:
        """What is kept for the head, None when nobody has to wait."""
        return self.reservations[0] if self.reservations else None

    @property
    def promises(self) -> tuple[Reservation, ...]:
        """The reservations that nobody passes by a guess."""
        return tuple(kept for kept in self.reservations if kept.promised)

    @property
    def sticky(self) -> tuple[Reservation, ...]:
        """The reservations that the next plan has to keep."""
        return tuple(kept for kept in self.reservations if kept.sticky)
