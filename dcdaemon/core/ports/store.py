"""The store as a whole: all its parts, and its upkeep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dcdaemon.core.backup import PLAIN, BackupMade, BackupWish
from dcdaemon.core.ports.access_store import AccessStore
from dcdaemon.core.ports.gpu_store import GpuStore
from dcdaemon.core.ports.job_store import JobStore
from dcdaemon.core.ports.ledger_store import LedgerStore
from dcdaemon.core.ports.record_store import RecordStore
from dcdaemon.core.ports.sample_store import SampleStore


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What `dcd status` and `dcd doctor` tell of the database."""

    url: str
    dialect: str
    schema: str | None
    size_bytes: int | None
    jobs: int
    samples_dropped: int


class Store(JobStore, LedgerStore, GpuStore, SampleStore, RecordStore, AccessStore, Protocol):
    """The database. What is answered is durable, samples excepted; StoreUnavailable when a write cannot be taken."""

    def roll_up(self, now: float) -> int:
        """Fold closed minutes and hours of samples; idempotent; return rows written."""
        ...

    def prune(self, now: float) -> int:
        """Delete samples, events and reports past their retention, in slices; return rows deleted."""
        ...

    def backup(self, path: Path, wish: BackupWish = PLAIN) -> BackupMade:
        """Write a consistent copy to a new file while work goes on; raise Refused, StoreUnavailable."""
        ...

    def facts(self) -> StoreFacts:
        """Describe the database."""
        ...

    def close(self) -> None:
        """Write what is buffered and let go of the connections."""
        ...
