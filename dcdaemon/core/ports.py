"""What the use cases need from the world, as Protocols; real ones live in their rooms, fakes in dcdaemon/fakes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dcdaemon.core.anomaly import Anomaly, Finding
from dcdaemon.core.audit import AuditQuery, AuditRow, Change
from dcdaemon.core.backup import PLAIN, BackupMade, BackupWish
from dcdaemon.core.booking import Booking
from dcdaemon.core.energy import Metered
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.gpu import GpuInfo, GpuSpeed
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import Fate, Job, JobSpec, JobState, Usage
from dcdaemon.core.prediction import PastPeak, PastRun, Prediction
from dcdaemon.core.samples import AnySample, GpuReading, GpuSample, HostReading
from dcdaemon.core.token import Token
from dcdaemon.core.vitals import Vitals


class Clock(Protocol):
    """Time, as an argument: wall time for records, monotonic time for intervals."""

    def now(self) -> float:
        """Return epoch seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never step."""
        ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the peer of the socket or the owner of a token, never a field of the request.

    `peer` is from where, as an address; `token` the id of the token it came with. Who is `read_only` changes nothing.
    """

    uid: int
    gid: int
    user: str
    operator: bool = False
    via: str = "socket"
    read_only: bool = False
    peer: str | None = None
    token: str | None = None


#: Who acts when nobody asked: the daemon itself, in the audit table.
DAEMON = Actor(uid=0, gid=0, user="dcdaemon", operator=True, via="daemon")


# ---------------------------------------------------------------- engine


@dataclass(frozen=True, slots=True)
class Report:
    """One line a job reported."""

    job_id: int
    attempt: int
    at: float
    step: int | None
    values: Mapping[str, float | int | str | None]


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
class Held:
    """The memory an attempt holds that cannot be taken back from it; `fenced` where the kernel keeps its limit."""

    bytes: int
    fenced: bool


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt's supervisor exists; `pid` is the shim's."""

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
class Alive:
    """The attempt runs under its shim."""

    pid: int
    started_at: float


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


class Engine(Protocol):
    """Where jobs run; `on_end(job_id, attempt)` is called, from any thread, when an attempt may be over."""

    def start(self, order: StartOrder) -> Started:
        """Run the attempt; raise StartFailed when it cannot even be tried."""
        ...

    def stop(self, job: Job, signal: str | None, grace_s: float, cause: str) -> None:
        """Ask the attempt to end: signal, grace, then KILL; without a signal, in the way it was submitted for."""
        ...

    def outcome(self, job: Job) -> Outcome:
        """Tell what became of the attempt."""
        ...

    def adopt(self, job: Job) -> Outcome:
        """Take over an attempt that an earlier daemon started; void it when it was never claimed."""
        ...

    def pids(self, job: Job) -> tuple[int, ...]:
        """List the processes that belong to the attempt now."""
        ...

    def held(self, job: Job, worth_bytes: float) -> Held | None:
        """Return the memory that the attempt holds, None when unknown; exact from `worth_bytes` on."""
        ...

    def vitals(self, job: Job) -> Vitals:
        """Tell how much the attempt has written so far, and what its processes do."""
        ...

    def owners(self, pids: Iterable[int], jobs: Iterable[Job]) -> dict[int, int]:
        """Map each of these processes that belongs to one of these jobs to the job's id."""
        ...

    def reports(self, job: Job, offset: int) -> tuple[list[Report], int]:
        """Return what the attempt reported past `offset` of its report file, and the new offset."""
        ...

    def open_log(self, job: Job, attempt: int) -> int | None:
        """Open the attempt's log for reading; None while there is none yet; the caller closes the descriptor."""
        ...


class EnvKeeper(Protocol):
    """Keeps environments in 0600 files outside the database."""

    def keep(self, uid: int, env: Mapping[str, str]) -> str:
        """Store an environment durably and return its reference; equal environments share one."""
        ...

    def load(self, ref: str) -> dict[str, str]:
        """Return a kept environment; raise StartFailed when it is gone."""
        ...


# ---------------------------------------------------------------- store


@dataclass(frozen=True, slots=True)
class JobChange:
    """Replace `before` by `after` if the stored version is still `before.version`; `action` goes to the audit table."""

    before: Job
    after: Job
    at: float
    actor: Actor | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs; an empty filter means no restriction; newest first unless `oldest_first`."""

    ids: tuple[int, ...] = ()
    states: frozenset[JobState] = frozenset()
    uid: int | None = None
    user: str | None = None
    name: str | None = None
    array_id: int | None = None
    submitted_since: float | None = None
    ended_since: float | None = None
    limit: int | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """What one job used in one interval, to be added to its sums; `mem_peak_bytes` is a maximum."""

    job_id: int
    util_s: float
    sampled_s: float
    mem_peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class MeterState:
    """Where the energy meter of one GPU stood when it was last booked."""

    gpu: int
    uuid: str
    at: float
    counter_mj: int | None


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """A line of `dcd energy`: key is a user, job id, GPU, day or `idle`."""

    key: str
    energy_mj: int
    gpu_s: float


@dataclass(frozen=True, slots=True)
class GpuMark:
    """An operator's word on one GPU."""

    gpu: int
    drained: str | None = None
    drained_by: str | None = None
    drained_at: float | None = None


def mark_change(mark: GpuMark, before: str | None) -> Change:
    """Return what the audit says of a new mark; `before` is why the GPU was drained until now."""
    action = "restore" if mark.drained is None else "drain"
    detail = {"gpu": mark.gpu, "why": mark.drained}
    return Change(action, f"gpu {mark.gpu}", None, {"drained": before}, {"drained": mark.drained}, detail)


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What `dcd status` and `dcd doctor` tell of the database."""

    url: str
    dialect: str
    schema: str | None
    size_bytes: int | None
    jobs: int
    samples_dropped: int


class Store(Protocol):
    """The database. What is answered is durable, samples excepted; StoreUnavailable when a write cannot be taken."""

    def submit(
        self, specs: Sequence[JobSpec], at: float, actor: Actor, predictions: Sequence[Prediction] = ()
    ) -> list[Job]:
        """Store new waiting jobs in one transaction and return them with their ids, in order.

        They may name each other by their places (core.job.placed). `predictions` has one for each of them, or none.
        """
        ...

    def save(self, changes: Sequence[JobChange]) -> list[Job | None]:
        """Apply each change by itself, in one durable commit; None where its version moved or a GPU was taken."""
        ...

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        ...

    def jobs(self, query: JobQuery) -> list[Job]:
        """Return the jobs that match."""
        ...

    def fates(self, job_ids: Iterable[int]) -> dict[int, Fate]:
        """Return where each known id stands."""
        ...

    def past_runs(self, most: int) -> list[PastRun]:
        """Return the last runs of all nodes of which the time is known, the oldest first."""
        ...

    def past_peaks(self, user: str, most: int) -> list[PastPeak]:
        """Return what a user's runs on one GPU held that ended well, the newest first; of the last `most` jobs."""
        ...

    def book(self, metered: Sequence[Metered], usage: Sequence[UsageDelta]) -> None:
        """Add measured energy and usage to the ledger, and move the meters, in one durable transaction."""
        ...

    def meters(self) -> list[MeterState]:
        """Return where each GPU's meter stood."""
        ...

    def usage(self, job_ids: Iterable[int]) -> dict[int, Usage]:
        """Return the usage of each job that has any."""
        ...

    def energy(self, by: str, since: float | None) -> list[EnergyRow]:
        """Sum booked energy by `user`, `job`, `gpu` or `day` (node-local days), idle included; largest first."""
        ...

    def gpu_time(self, since: float, step_s: int) -> list[GpuTime]:
        """Return what each account and user used of this node's GPUs since then, summed up in steps of time.

        Attempts count when they have ended; an hour is the shortest step.
        """
        ...

    def record(self, samples: Sequence[AnySample]) -> None:
        """Keep samples; never blocks on a slow database: a bounded buffer drops the oldest and counts them."""
        ...

    def flush_samples(self) -> None:
        """Write the buffered samples now."""
        ...

    def gpu_samples(self, gpu: int, since: float, until: float) -> list[GpuSample]:
        """Return the stored samples of one GPU, oldest first."""
        ...

    def gpu_speeds(self, since: float) -> list[GpuSpeed]:
        """Return how fast each GPU of this node was since then while it was busy, by index."""
        ...

    def save_gpus(self, gpus: Sequence[GpuInfo], at: float) -> None:
        """Remember the GPUs of this node."""
        ...

    def marks(self) -> list[GpuMark]:
        """Return the operator's marks on GPUs of this node."""
        ...

    def mark(self, mark: GpuMark, at: float, actor: Actor) -> None:
        """Set an operator's mark."""
        ...

    def add_booking(self, asked: Booking, actor: Actor) -> Booking:
        """Store a new booking and return it with its id."""
        ...

    def unbook(self, booking_id: int, at: float, actor: Actor) -> Booking | None:
        """End a booking before its time and return it; None when this node has none of this id that is not over."""
        ...

    def bookings(self, over_after: float) -> list[Booking]:
        """Return the bookings of this node that are not over by then, the first to begin first."""
        ...

    def raise_anomalies(self, findings: Sequence[Finding], at: float, *, momentary: bool = False) -> list[Anomaly]:
        """Store new anomalies; a momentary one is cleared at birth."""
        ...

    def clear_anomalies(self, ids: Sequence[int], at: float) -> None:
        """Close anomalies whose rule no longer finds them."""
        ...

    def anomalies(
        self, *, since: float | None = None, open_only: bool = False, job_id: int | None = None
    ) -> list[Anomaly]:
        """Return anomalies, newest first."""
        ...

    def acknowledge(self, anomaly_id: int, at: float, actor: Actor) -> bool:
        """Note that somebody has seen it; False when there is no such anomaly."""
        ...

    def save_events(self, events: Sequence[Event]) -> list[int]:
        """Store new events, and the grown count of those that have an id already; return their ids, in order."""
        ...

    def events(
        self, *, since: float | None = None, kinds: Sequence[EventKind] = (), after_id: int = 0, limit: int = 1000
    ) -> list[Event]:
        """Return this node's newest events, at most `limit`, oldest first; those after a known one with `after_id`."""
        ...

    def add_reports(self, reports: Sequence[Report]) -> None:
        """Keep what jobs reported."""
        ...

    def reports(self, job_id: int) -> list[Report]:
        """Return what one job reported, oldest first."""
        ...

    def report_count(self, job_id: int, attempt: int | None = None) -> int:
        """Return how many lines one job, or one attempt of it, reported."""
        ...

    def audit(self, since: float | None = None, job_id: int | None = None) -> list[AuditRow]:
        """Return the audit rows, oldest first."""
        ...

    def find_audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return this node's audit rows that match, oldest first."""
        ...

    def note(self, change: Change, at: float, actor: Actor) -> None:
        """Add a row to the audit for a change of something that is not in the database."""
        ...

    def env_refs(self, ended_since: float) -> set[str]:
        """Return the environments of all jobs that are unfinished or ended since then."""
        ...

    def reserve_job_ids(self, up_to: int) -> None:
        """Give no new job an id up to this one: something on disk has it, whatever the store remembers."""
        ...

    def backup(self, path: Path, wish: BackupWish = PLAIN) -> BackupMade:
        """Write a consistent copy to a new file while work goes on; raise Refused where that is not ours to do."""
        ...

    def add_token(self, token: Token, actor: Actor) -> bool:
        """Remember what is to be kept of a new token; False when a valid one of this node has its name."""
        ...

    def token(self, token_hash: str) -> Token | None:
        """Return this node's token of that hash, valid or not."""
        ...

    def tokens(self) -> list[Token]:
        """Return this node's tokens, revoked ones too, the oldest first."""
        ...

    def revoke_token(self, token_hash: str, at: float, actor: Actor) -> bool:
        """Have a token open nothing from now on; False when there is none that is not revoked already."""
        ...

    def used_token(self, token_hash: str, at: float, peer: str | None) -> None:
        """Note the last use of a token; not durable, and no row of the audit."""
        ...

    def roll_up(self, now: float) -> int:
        """Fold closed minutes and hours of samples; idempotent; return rows written."""
        ...

    def prune(self, now: float) -> int:
        """Delete samples, events and reports past their retention, in slices; return rows deleted."""
        ...

    def facts(self) -> StoreFacts:
        """Describe the database."""
        ...

    def close(self) -> None:
        """Write what is buffered and let go of the connections."""
        ...


# ---------------------------------------------------------------- hardware


class GpuSource(Protocol):
    """GPUs, real or simulated; `read` never blocks on a driver."""

    def start(self) -> None:
        """Begin polling."""
        ...

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until every GPU was read once or it is clear that there is none; False after the timeout."""
        ...

    def read(self) -> GpuReading:
        """Return the newest readings."""
        ...

    def release(self, for_s: float) -> None:
        """Let go of the driver so that it can be reloaded; polling begins again after `for_s`, 0 begins it now."""
        ...

    def close(self) -> None:
        """Stop polling and let go of the driver, within a second."""
        ...


class HostSource(Protocol):
    """The host's own sensors."""

    def read(self) -> HostReading:
        """Read them now; a mount that does not answer is reported, never waited for."""
        ...


Wake = Callable[[], None]
