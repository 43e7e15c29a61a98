"""One attempt of a job as an engine sees it: how it is started, what became of it, what it reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dcdaemon.core.job import Job


@dataclass(frozen=True, slots=True)
class StartOrder:
    """Everything an engine needs to run one attempt; at `port` the ranks of a job with a launcher find each other.

    `gpu_minors` name the device nodes of its GPUs, None for one whose number is not known; simulated ones have none.
    """

    job: Job
    env: Mapping[str, str]
    gpu_uuids: tuple[str, ...]
    port: int | None = None
    gpu_minors: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt's supervisor exists; `pid` is the shim's."""

    pid: int
    started_at: float


@dataclass(frozen=True, slots=True)
class Alive:
    """The attempt runs under its shim."""

    pid: int
    started_at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over, as its shim recorded it."""

    cause: str
    exit_code: int | None
    signal: int | None
    started_at: float | None
    ended_at: float
    run_s: float | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Unlaunched:
    """No process of this attempt is known to have run, and none will.

    `ready` when this is proven: what it was to be launched with stands on disk since this boot, and is removed before a
    job is let run. Without it a power cut may have taken all traces of one that did run. It tells how sure one is, and
    is no part of what happened.
    """

    ready: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """The shim is gone without a record, but processes of the job live on."""

    pids: tuple[int, ...]
    started_at: float | None


@dataclass(frozen=True, slots=True)
class Vanished:
    """Shim and processes are gone and no record tells the end; `rebooted` when the machine restarted since."""

    rebooted: bool
    started_at: float | None


Outcome = Ended | Alive | Unlaunched | Leftover | Vanished


@dataclass(frozen=True, slots=True)
class Held:
    """The memory an attempt holds that cannot be taken back from it; `fenced` where the kernel keeps its limit."""

    bytes: int
    fenced: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One line a job reported."""

    job_id: int
    attempt: int
    at: float
    step: int | None
    values: Mapping[str, float | int | str | None]
