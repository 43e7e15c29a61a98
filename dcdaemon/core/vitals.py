"""Signs of life of a running job, as its engine sees them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankVitals:
    """One rank of a distributed job, or one process of any other: then `rank` is None.

    `state` is the letter of proc(5), `waits_in` the kernel function it sleeps in, None where that cannot be read;
    `cpu_s` counts the processes below it, too, as long as they live.
    """

    rank: int | None
    pid: int
    state: str
    waits_in: str | None
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Vitals:
    """How much a job has written so far, and what its processes do."""

    written_bytes: int
    ranks: tuple[RankVitals, ...] = ()
