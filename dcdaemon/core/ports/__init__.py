"""What the use cases need from the world, as Protocols; real ones live in their rooms, fakes in dcdaemon/fakes."""

from dcdaemon.core.ports.access_store import AccessStore
from dcdaemon.core.ports.actor import DAEMON, Actor
from dcdaemon.core.ports.attempt import (
    Alive,
    Ended,
    Held,
    Leftover,
    Outcome,
    Report,
    Started,
    StartOrder,
    Unlaunched,
    Vanished,
)
from dcdaemon.core.ports.engine import Engine, EnvKeeper
from dcdaemon.core.ports.gpu_store import GpuMark, GpuStore, mark_change
from dcdaemon.core.ports.job_store import JobChange, JobQuery, JobStore
from dcdaemon.core.ports.ledger_store import EnergyRow, LedgerStore, MeterState, UsageDelta
from dcdaemon.core.ports.machine import Clock, GpuSource, HostSource
from dcdaemon.core.ports.record_store import RecordStore
from dcdaemon.core.ports.sample_store import SampleStore
from dcdaemon.core.ports.store import Store, StoreFacts

__all__ = [
    "DAEMON",
    "AccessStore",
    "Actor",
    "Alive",
    "Clock",
    "Ended",
    "EnergyRow",
    "Engine",
    "EnvKeeper",
    "GpuMark",
    "GpuSource",
    "GpuStore",
    "Held",
    "HostSource",
    "JobChange",
    "JobQuery",
    "JobStore",
    "LedgerStore",
    "Leftover",
    "MeterState",
    "Outcome",
    "RecordStore",
    "Report",
    "SampleStore",
    "StartOrder",
    "Started",
    "Store",
    "StoreFacts",
    "Unlaunched",
    "UsageDelta",
    "Vanished",
    "mark_change",
]
