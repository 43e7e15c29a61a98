"""Why a job does not start now: a stable code, the facts as numbers, and what would start it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict


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
    """Changes after which the job starts: jobs that end, jobs out of its way, a hold released, GPUs given back."""

    end_jobs: tuple[int, ...] = ()
    skip_jobs: tuple[int, ...] = ()
    finish_dependencies: tuple[int, ...] = ()
    release: bool = False
    restore_gpus: tuple[tuple[str, int], ...] = ()


class BlockedGpu(TypedDict):
    """One GPU that takes no new work; `block` is a GpuBlock, `detail` what is known about it."""

    node: str
    gpu: int
    block: str
    detail: str


class Facts(TypedDict, total=False):
    """The numbers of one reason, as JSON; a key that does not matter to the reason is left out."""

    # What the job needs, and what `node` (of `nodes` many), the one that lacks least, has free of it.
    gpus_needed: int
    gpus_free: int
    cpus_needed: int
    cpus_free: int
    mem_needed_bytes: int
    mem_free_bytes: int
    node: str
    nodes: int
    # What `node` has in all; for a job that can never fit.
    gpus_total: int
    cpus_total: int
    mem_total_bytes: int
    # GPUs of `node` that would help and take no new work.
    blocked: list[BlockedGpu]
    # The head of the queue when it is another job: its priority and needs, and when it starts at the latest.
    head_job: int
    head_priority: int
    head_gpus_needed: int
    head_cpus_needed: int
    head_starts_in_s: float | None
    # Jobs further ahead that start now and take the room; how many ready jobs are ahead altogether.
    starting: list[int]
    ahead: int
    # Running jobs that end before the expected start, and those without a limit that stand in the way.
    ending: list[int]
    endless: list[int]
    starts_in_s: float | None
    # Whether the job starts the moment `ending` are over, or only after other waiting jobs ran.
    starts_after_ending: bool
    # With this limit the job could start now, without delaying the head.
    limit_to_start_s: float
    waits_for: list[int]
    failed_dependency: int


@dataclass(frozen=True, slots=True)
class Reason:
    """The true reason of one waiting job; `facts` are the numbers its words are made of.

    `sentence` tells it in full, `note` in at most 40 characters, `remedy` says what would start the job now.
    """

    job_id: int
    code: ReasonCode
    facts: Facts = field(default_factory=Facts)
    unblock: Unblock = field(default_factory=Unblock)
    expected_start_at: float | None = None
    sentence: str = ""
    note: str = ""
    remedy: str = ""
