"""What the rules look at: one immutable picture of a node."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job
from dcdaemon.core.samples import FilesystemSample, GpuSample
from dcdaemon.core.vitals import RankVitals


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something is odd; times in seconds, shares from 0 to 1."""

    idle_after_s: float = 600.0
    idle_below_ratio: float = 0.05
    filesystem_full_ratio: float = 0.92
    stale_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Allocation:
    """The job that holds a GPU, since when in epoch seconds."""

    job_id: int
    user: str
    name: str
    since: float


@dataclass(frozen=True, slots=True)
class SharedBy:
    """A job on a GPU that it may share with others, and the memory it declared."""

    job_id: int
    user: str
    name: str
    gpu: int
    mem_bytes: int


@dataclass(frozen=True, slots=True)
class UtilWindow:
    """Utilisation of one GPU under one job over the newest `span_s` seconds, of which `known_s` are known."""

    job_id: int
    span_s: float
    known_s: float
    mean_ratio: float | None
    max_ratio: float | None


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that ended since the last picture, and the last lines of its log."""

    job: Job
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HungJob:
    """A job that says nothing any more; each rank with the CPU seconds it used in that time."""

    job_id: int
    attempt: int
    user: str
    name: str
    silent_s: float
    ranks: tuple[tuple[RankVitals, float], ...]


@dataclass(frozen=True, slots=True)
class NodePicture:
    """Everything the rules may know of a node at `at`; maps are by GPU index.

    `sample_ages_s` tells how long ago each GPU was read, also where its sample was withdrawn since.
    """

    at: float
    monotonic_s: float
    node: str
    expected_driver: bool = True
    driver_error: str | None = None
    gpus: tuple[GpuInfo, ...] = ()
    samples: Mapping[int, GpuSample] = field(default_factory=dict)
    sample_ages_s: Mapping[int, float] = field(default_factory=dict)
    lost: frozenset[int] = frozenset()
    allocations: Mapping[int, Allocation] = field(default_factory=dict)
    shares: tuple[SharedBy, ...] = ()
    util_windows: Mapping[int, UtilWindow] = field(default_factory=dict)
    foreign_ok: frozenset[str] = frozenset()
    filesystems: tuple[FilesystemSample, ...] = ()
    ended: tuple[EndedJob, ...] = ()
    hung: tuple[HungJob, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class Sign:
    """What one rule sees on one subject; the table of rules adds the rule's name and severity."""

    subject: str
    message: str
    evidence: dict[str, object]
    job_id: int | None = None
    gpu: int | None = None
