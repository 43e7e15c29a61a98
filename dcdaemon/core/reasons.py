"""Why a job does not start now: a stable code, the facts as numbers, and what would start it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NotRequired, TypedDict

from dcdaemon.core.view import CapKey


class ReasonCode(StrEnum):
    """The one constraint that keeps a job waiting."""

    GPUS_BUSY = "gpus_busy"
    CPUS_BUSY = "cpus_busy"
    MEMORY_BUSY = "memory_busy"
    PRIORITY = "priority"
    DEPENDENCY = "dependency"
    DEPENDENCY_FAILED = "dependency_failed"
    BEGIN_TIME = "begin_time"
    HELD = "held"
    QUOTA = "quota"
    QUEUE_LIMIT = "queue_limit"
    ARRAY_LIMIT = "array_limit"
    DRAINED = "drained"
    HEALTH = "health"
    FOREIGN = "foreign"
    BOOKED = "booked"
    NEVER_FITS = "never_fits"
    STARTS_NOW = "starts_now"


class Before(StrEnum):
    """Why one job goes before another; the earlier one of these decides."""

    PRIORITY = "priority"
    QUOTA = "quota"
    QUEUE = "queue"
    PROMISED = "promised"
    OVERDUE = "overdue"
    OTHER_ORDER = "other_order"
    SHARE = "share"
    DUE = "due"
    IN_TIME = "in_time"
    SHORTER = "shorter"
    NARROWER = "narrower"
    WAITED = "waited"
    EARLIER = "earlier"


class Basis(StrEnum):
    """What a foretold start counts on: that jobs run to their limits, as predicted, or only on the work ahead."""

    LIMITS = "limits"
    PREDICTIONS = "predictions"
    WORK = "work"


@dataclass(frozen=True, slots=True)
class Unblock:
    """Changes after which the job starts: jobs that end, jobs out of its way, a hold released, GPUs given back.

    Of what it waits for, `finish_dependencies` have to succeed, `end_dependencies` to end, `fail_dependencies` to end
    without success; `begin_at` is when its begin time comes. `first` puts it before all others, `lift_limits` takes
    limits away that are too low for it or too full, `unbook` calls bookings off. So many further jobs as `others` have
    to end or be out of its way: those that the reader may not know of, and that are named in no list.
    """

    end_jobs: tuple[int, ...] = ()
    skip_jobs: tuple[int, ...] = ()
    finish_dependencies: tuple[int, ...] = ()
    release: bool = False
    restore_gpus: tuple[tuple[str, int], ...] = ()
    end_dependencies: tuple[int, ...] = ()
    fail_dependencies: tuple[int, ...] = ()
    begin_at: float | None = None
    first: bool = False
    lift_limits: tuple[CapKey, ...] = ()
    unbook: tuple[int, ...] = ()
    others: int = 0

    @property
    def dependencies(self) -> tuple[int, ...]:
        """All jobs that have to be over, however."""
        return self.finish_dependencies + self.end_dependencies + self.fail_dependencies


class BlockedGpu(TypedDict):
    """One GPU that takes no new work; `block` is a GpuBlock, `detail` what is known about it."""

    node: str
    gpu: int
    block: str
    detail: str


class BookedGpus(TypedDict):
    """GPUs that a booking keeps from the job; `opens_in_s` is 0 while its window is open."""

    booking: int
    label: str
    gpus: list[int]
    opens_in_s: float
    ends_in_s: float


class Ahead(TypedDict):
    """So many ready jobs go first for this reason, a Before; `jobs` names the first few of them.

    `due_in_s` is when the only one is due, where that is the reason.
    """

    why: str
    count: int
    jobs: list[int]
    due_in_s: NotRequired[float]


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
    # For a gang: how many whole nodes it needs, and how many are free; `node` is the one of them that lacks most.
    nodes_needed: int
    nodes_free: int
    # What `node` has in all, or all nodes together; for a job that can never fit. Whole GPUs are those not cut by MIG.
    gpus_total: int
    cpus_total: int
    mem_total_bytes: int
    gpus_cut: int
    # For a share of one GPU: what it needs, what the emptiest one of `node` has left (a free GPU is all free), and what
    # shares may have of the largest GPU there is, 0 where no GPU's memory is known.
    gpu_mem_needed_bytes: int
    gpu_mem_free_bytes: int
    gpu_mem_total_bytes: int
    # There is room on this GPU, but the newest job on it may still be loading, for so long.
    loading_gpu: int
    loading_s: float
    # Its queue, where that has GPUs of its own.
    queue: str
    # GPUs of `node` that would help and take no new work.
    blocked: list[BlockedGpu]
    # Bookings that keep GPUs of `node` from the job.
    booked: list[BookedGpus]
    # The job that something is kept for, when it is another one: its priority and needs (of memory only
    # where it is a share), when it starts and by what
    # (a Basis), and whether that was promised because it has waited so long.
    head_job: int
    head_priority: int
    head_gpus_needed: int
    head_gpu_mem_needed_bytes: int
    head_cpus_needed: int
    head_starts_in_s: float | None
    head_basis: str
    head_promised: bool
    # Jobs further ahead that start now and take the room; how many ready jobs are ahead altogether, and why.
    starting: list[int]
    ahead: int
    ahead_by: list[Ahead]
    # Whether this job is promised a start, having waited so long.
    promised: bool
    # The limit that refuses the job, as in a CapKey: what counts against it, the most it allows, and what the job
    # would add; GPUs, or jobs where it counts jobs. `limit_kept`: what is left is kept for one that waits longer.
    limit: list[str]
    limit_used: float
    limit_most: int
    limit_more: float
    limit_counts_jobs: bool
    limit_kept: bool
    # Running jobs that end before the expected start, and those without a limit that stand in the way.
    ending: list[int]
    endless: list[int]
    # The expected start, what it counts on (a Basis), and the interval around it; None at the top: no end is known.
    starts_in_s: float | None
    starts_basis: str
    starts_low_in_s: float
    starts_high_in_s: float | None
    # Whether the job starts the moment `ending` are over, or only after other waiting jobs ran.
    starts_after_ending: bool
    # Whether the job that something is kept for is expected to start at that very moment, too.
    head_starts_beside: bool
    # With this limit the job could start now, without delaying the head.
    limit_to_start_s: float
    waits_for: list[int]
    failed_dependency: int
    # The failed dependency should not have succeeded, and did.
    unwanted_success: bool
    begins_in_s: float
    # When the job is due, and how long it is thought to run; where it has a deadline.
    due_in_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Reason:
    """The true reason of one waiting job; `facts` are the numbers its words are made of.

    `sentence` tells it in full, `note` in at most 40 characters, `remedy` says what would start the job now. The start
    is expected between `expected_low_at` and `expected_high_at`, epoch seconds.
    """

    job_id: int
    code: ReasonCode
    facts: Facts = field(default_factory=Facts)
    unblock: Unblock = field(default_factory=Unblock)
    expected_start_at: float | None = None
    expected_low_at: float | None = None
    expected_high_at: float | None = None
    sentence: str = ""
    note: str = ""
    remedy: str = ""
