"""The immutable picture a scheduling decision is made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dcdaemon.core.booking import Booking
from dcdaemon.core.plan import Reservation

#: What a job counts against: the kind of limit and whose it is, as ("user", "ada") or ("array", "120").
CapKey = tuple[str, str]


class GpuBlock(StrEnum):
    """Why a GPU takes no new work although no job of ours holds it."""

    DRAINED = "drained"
    HEALTH = "health"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """One MIG instance as the scheduler sees it; `name` is its GPU and compute instance, like `9/0`."""

    name: str
    mem_total_bytes: int | None = None
    blocked: GpuBlock | None = None
    blocked_detail: str = ""


@dataclass(frozen=True, slots=True)
class GpuSlot:
    """One GPU as the scheduler sees it; `blocked` is None when it may be given to a job.

    `neighbourhood` is where it sits, from wide to narrow: GPUs that begin alike reach each other faster. The higher the
    `penalty`, the later it is given away. `mem_used_bytes` is what all processes hold on it by the newest sample.
    One that is cut by MIG has `instances`, which are given away instead of it; None for a whole one.
    """

    index: int
    mem_total_bytes: int | None = None
    blocked: GpuBlock | None = None
    blocked_detail: str = ""
    neighbourhood: tuple[int, ...] = ()
    penalty: int = 0
    mem_used_bytes: int | None = None
    instances: tuple[GpuInstance, ...] | None = None

    @property
    def closed_by(self) -> GpuBlock | None:
        """What keeps all of it from jobs: of one that is cut, the first of its instances when none takes work."""
        if self.blocked is not None or not self.instances or any(one.blocked is None for one in self.instances):
            return self.blocked
        return self.instances[0].blocked

    @property
    def stopped(self) -> "GpuSlot":
        """Itself, or as if all of it were blocked where one of its instances is."""
        first = next((one for one in self.instances or () if one.blocked is not None), None)
        if self.blocked is not None or first is None:
            return self
        detail = f"MIG instance {first.name}" + (f": {first.blocked_detail}" if first.blocked_detail else "")
        return replace(self, blocked=first.blocked, blocked_detail=detail)


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node: its capacity and its GPUs."""

    name: str
    cpus: int
    mem_bytes: int
    gpus: tuple[GpuSlot, ...] = ()


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that holds resources; `ends_at` is its latest end (start + limit + grace), None when endless.

    A gang over several nodes has one of these a node. With `gpu_instance` it has that MIG instance of its GPU.
    """

    id: int
    node: str
    gpus: tuple[int, ...]
    cpus: int
    mem_bytes: int
    ends_at: float | None
    started_at: float | None = None
    predicted_s: float | None = None
    gpu_mem_bytes: int | None = None
    user: str = ""
    account: str = ""
    queue: str = ""
    priority: int = 50
    caps: tuple[CapKey, ...] = ()
    preemptible: bool = False
    #: When its work was last safe on disk, epoch seconds; None when it never told.
    checkpoint_at: float | None = None
    #: Asked to end, and about to give its GPUs back.
    stopping: bool = False
    gpu_instance: str | None = None


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A waiting job as the scheduler sees it; `sequence` breaks ties first in, first out.

    `limit_s` is the longest it can hold its place: the limit that was asked for and `grace_s`. `predicted_s` is
    what it is thought to run, None when nobody knows; `queued_at` is when it became ready, epoch seconds.
    `gpu_mem_bytes` asks for that much of one GPU's memory instead of whole GPUs. `caps` are the limits that it
    counts against while it runs. Of the jobs it waits for, any end of those in `waits_any` will do, and those in
    `waits_not_ok` must not succeed. `swapped` is how often it was stopped to make room where any job may be; it has
    waited since `queued_at` in all then. By `deadline_at`, epoch seconds, it is wanted to be done.
    """

    id: int
    sequence: int
    priority: int
    gpus: int
    cpus: int
    mem_bytes: int
    limit_s: float | None
    held: bool = False
    waits_for: tuple[int, ...] = ()
    failed_dependency: int | None = None
    grace_s: float = 0.0
    queued_at: float = 0.0
    begin_at: float | None = None
    predicted_s: float | None = None
    gpu_mem_bytes: int | None = None
    user: str = ""
    account: str = ""
    queue: str = ""
    caps: tuple[CapKey, ...] = ()
    waits_any: tuple[int, ...] = ()
    waits_not_ok: tuple[int, ...] = ()
    swapped: int = 0
    deadline_at: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the past says to a decision.

    `kept` are the sticky reservations of the plan before. `fifo_wait_s` is the longest wait that first in, first out
    would have made of the jobs so far, None while unknown. `shares_used` is what each account and user had of its fair
    share. `expect` tells how long jobs of a prediction have run in the mean, seconds; None takes it as predicted.
    """

    kept: tuple[Reservation, ...] = ()
    fifo_wait_s: float | None = None
    shares_used: Mapping[tuple[str, str], float] = field(default_factory=dict)
    expect: Callable[[float], float] | None = None


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Nodes and what runs on them at one instant, and what an earlier moment left behind.

    `caps` are the most that may run under each limit, in GPUs; of the kind "array" in jobs. `standing` is what was
    promised and what people have had to wait for before. `bookings` are GPUs set aside for some users, for a time.
    """

    nodes: tuple[NodeView, ...]
    running: tuple[RunningJob, ...] = field(default=())
    caps: Mapping[CapKey, int] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    bookings: tuple[Booking, ...] = ()
