"""The newest picture of the machine and of the daemon itself, written by the duties, read by the API."""

from dataclasses import dataclass, field

from dcdaemon.control.event_book import EventBook
from dcdaemon.control.newest import Newest
from dcdaemon.core.collector import CollectorReport
from dcdaemon.core.ports import GpuMark
from dcdaemon.core.roles import USUAL_ROLES
from dcdaemon.core.samples import GpuReading, HostReading


@dataclass(frozen=True, slots=True)
class DutyReport:
    """How one duty of the daemon is doing; `late` when it missed two of its intervals."""

    name: str
    every_s: float
    last_tick_age_s: float | None
    last_duration_s: float | None
    ticks: int
    late: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What does not change while the daemon runs."""

    version: str
    pid: int
    uid: int
    started_at: float
    engine: str
    simulated: bool
    config_warnings: tuple[str, ...] = ()
    price_per_kwh: float | None = None
    currency: str = "EUR"
    carbon_g_per_kwh: float | None = None
    #: What the node is for; it decides which collectors run.
    roles: tuple[str, ...] = USUAL_ROLES
    #: How jobs are fenced (unit, shim, none), by whose systemd, and why there is no better fence.
    isolation: str = "shim"
    manager: str | None = None
    isolation_reasons: tuple[str, ...] = ()


@dataclass
class Board:
    """One slot per kind of reading; each is replaced whole, so readers need no lock."""

    facts: DaemonFacts
    gpus: GpuReading = field(default_factory=lambda: GpuReading((), ()))
    host: HostReading | None = None
    newest: Newest = field(default_factory=Newest)
    events: EventBook = field(default_factory=EventBook)
    duties: tuple[DutyReport, ...] = ()
    #: What keeps waiting jobs from being started just now, like a full disk; None when nothing does.
    keeps_jobs: str | None = None
    #: Collectors that are no part of the host's sweep (the kernel log), by name; each is replaced whole.
    collectors: dict[str, CollectorReport] = field(default_factory=dict)
    foreign_ok: frozenset[str] = frozenset()
    marks: dict[int, GpuMark] | None = None
    #: GPUs that were slower at their work than the others of their model, by the last look at the past.
    slow: frozenset[int] = frozenset()
    #: Up to when energy and use are in the ledger, epoch seconds.
    booked_until: float = 0.0
