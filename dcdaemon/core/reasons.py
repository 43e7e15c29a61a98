"""Why a job does not start now: a stable code, the facts as numbers, and what would start it."""

from dataclasses import dataclass, field
from enum import StrEnum


class ReasonCode(StrEnum):
    """The one constraint that keeps a job waiting."""

    GPUS_BUSY = "gpus_busy"
    CPUS_BUSY = "cpus_busy"
    MEMORY_BUSY = "memory_busy"
    PRIORITY = "priority"
    DEPENDENCY = "dependency"
    DEPENDENCY_FAILED = "dependency_failed"
    HELD = "held"
    DRAINED = "drained"
    HEALTH = "health"
    FOREIGN = "foreign"
    NEVER_FITS = "never_fits"
    STARTS_NOW = "starts_now"


@dataclass(frozen=True, slots=True)
class Unblock:
    """A set of changes after which the job starts: jobs that end, jobs out of its way, a hold released, GPUs given back."""

    end_jobs: tuple[int, ...] = ()
    skip_jobs: tuple[int, ...] = ()
    finish_dependencies: tuple[int, ...] = ()
    release: bool = False
    restore_gpus: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """The true reason of one waiting job; `facts` are the numbers the sentence is made of."""

    job_id: int
    code: ReasonCode
    facts: dict[str, object] = field(default_factory=dict)
    unblock: Unblock = field(default_factory=Unblock)
    expected_start_at: float | None = None
    sentence: str = ""
