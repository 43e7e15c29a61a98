"""The Store of core.ports on a SQL database: every method is one transaction, or one short read."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.anomaly import Anomaly, Finding
from dcdaemon.core.audit import AuditQuery, AuditRow, Change
from dcdaemon.core.backup import PLAIN, BackupMade, BackupWish
from dcdaemon.core.booking import Booking
from dcdaemon.core.energy import Metered
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.gpu import GpuInfo, GpuSpeed
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import Fate, Job, JobSpec, Usage
from dcdaemon.core.ports import (
    Actor,
    EnergyRow,
    GpuMark,
    JobChange,
    JobQuery,
    MeterState,
    Report,
    StoreFacts,
    UsageDelta,
)
from dcdaemon.core.prediction import PastPeak, PastRun, Prediction
from dcdaemon.core.samples import AnySample, GpuSample
from dcdaemon.core.token import Token
from dcdaemon.store import (
    anomalies,
    audit,
    bookings,
    events,
    gpu_speeds,
    gpu_time,
    gpus,
    jobs,
    ledger,
    past_runs,
    records,
    samples,
    tokens,
)
from dcdaemon.store.database import Database, choose_database
from dcdaemon.store.faults import unavailable
from dcdaemon.store.read_lane import ReadLane
from dcdaemon.store.retention import Retention
from dcdaemon.store.revision import bring_up_to_date, pending, stored_revision
from dcdaemon.store.sample_writer import SampleWriter
from dcdaemon.store.schema import job
from dcdaemon.store.upkeep import Upkeep
from dcdaemon.store.write_lane import WriteLane

log = logging.getLogger(__name__)
#: An hour of 8 GPUs and all else of their node, or half an hour of 64.
BUFFERED_BYTES = 16 * 1024 * 1024
_COUNT = select(func.count()).select_from(job)


def _untold(event: Event) -> None:
    """Tell nobody."""


def open_store(
    url: str,
    node: str,
    retention: Retention | None = None,
    *,
    busy_timeout_s: float = 5.0,
    buffered_bytes: int = BUFFERED_BYTES,
    tell: Tell = _untold,
) -> "SqlStore":
    """Open the database behind the URL, made or migrated first where needed; `tell` hears of what was lost.

    Raise BadConfig for a URL that names none, StoreUnavailable for one that cannot be used.
    """
    database = choose_database(url, busy_timeout_s)
    try:
        bring_up_to_date(database, url)
    except DBAPIError as error:
        raise unavailable(error, database.name) or error from error
    return SqlStore(database, node, retention or Retention(), buffered_bytes, tell)


def pending_schemas(url: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the schema of a database that exists, and those it would be brought through; raise StoreUnavailable."""
    database = choose_database(url)
    try:
        return pending(database)
    except DBAPIError as error:
        raise unavailable(error, database.name) or error from error
    finally:
        database.close()


class SqlStore:
    """One node's view of the database; safe to use from any thread."""

    def __init__(self, database: Database, node: str, retention: Retention, buffered_bytes: int, tell: Tell) -> None:
        self.node = node
        self._database = database
        self.retention = retention
        self._reads = ReadLane(database)
        ledger_turn, self._samples_turn = database.turns()
        self._ledger = WriteLane(database, ledger_turn, durable=True)
        self._samples = WriteLane(database, self._samples_turn, durable=False)
        self._writer = SampleWriter(node, self._samples, buffered_bytes, tell)
        self._upkeep = Upkeep(node, self._reads, self._samples, self._writer, tell)

    def submit(
        self, specs: Sequence[JobSpec], at: float, actor: Actor, predictions: Sequence[Prediction] = ()
    ) -> list[Job]:
        """Store new waiting jobs in one transaction and return them with their ids, in order."""
        return self._ledger.run(lambda connection: jobs.submit(connection, specs, self.node, at, actor, predictions))

    def save(self, changes: Sequence[JobChange]) -> list[Job | None]:
        """Apply each change on its own in one durable commit; None where it came too late."""
        return self._ledger.run(lambda connection: jobs.save(connection, changes))

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        return self._reads.run(lambda connection: jobs.find_one(connection, job_id))

    def jobs(self, query: JobQuery) -> list[Job]:
        """Return the jobs that match."""
        return self._reads.run(lambda connection: jobs.find(connection, query))

    def fates(self, job_ids: Iterable[int]) -> dict[int, Fate]:
        """Return where each known id stands."""
        return self._reads.run(lambda connection: jobs.fates(connection, job_ids))

    def past_runs(self, most: int) -> list[PastRun]:
        """Return the last runs of all nodes of which the time is known, the oldest first."""
        return self._reads.run(lambda connection: past_runs.last(connection, most))

    def past_peaks(self, user: str, most: int) -> list[PastPeak]:
        """Return what a user's runs on one GPU held that ended well, the newest first; of the last `most` jobs."""
        return self._reads.run(lambda connection: past_runs.peaks(connection, user, most))

    def env_refs(self, ended_since: float) -> set[str]:
        """Return the environments of all jobs that are unfinished or ended since then."""
        return self._reads.run(lambda connection: jobs.env_refs(connection, ended_since))

    def book(self, metered: Sequence[Metered], usage: Sequence[UsageDelta]) -> None:
        """Add measured energy and usage to the ledger, and move the meters, in one durable transaction."""
        if metered or usage:
            self._ledger.run(lambda connection: ledger.book(connection, self.node, metered, usage))

    def meters(self) -> list[MeterState]:
        """Return where each meter of this node stood."""
        return self._reads.run(lambda connection: ledger.meters(connection, self.node))

    def usage(self, job_ids: Iterable[int]) -> dict[int, Usage]:
        """Return the usage of each job that has any."""
        return self._reads.run(lambda connection: ledger.usage_of(connection, job_ids))

    def energy(self, by: str, since: float | None) -> list[EnergyRow]:
        """Sum booked energy by user, job, gpu or day, largest first; raise BadInput for anything else."""
        return self._reads.run(lambda connection: ledger.energy_by(connection, self.node, by, since))

    def gpu_time(self, since: float, step_s: int) -> list[GpuTime]:
        """Return what each account and user used of this node's GPUs since then, summed up in steps of time."""
        return self._reads.run(lambda connection: gpu_time.used_since(connection, self.node, since, step_s))

    def record(self, samples: Sequence[AnySample]) -> None:
        """Keep samples in memory until the next flush."""
        self._writer.record(samples)

    def flush_samples(self) -> None:
        """Write the buffered samples now; they stay buffered when StoreUnavailable is raised."""
        self._writer.flush()
        self._database.checkpoint(self._samples_turn)

    def gpu_samples(self, gpu: int, since: float, until: float) -> list[GpuSample]:
        """Return the stored samples of one GPU, oldest first."""
        return self._reads.run(lambda connection: samples.gpu_samples(connection, self.node, gpu, since, until))

    def gpu_speeds(self, since: float) -> list[GpuSpeed]:
        """Return how fast each GPU was since then while it was busy."""
        return self._reads.run(lambda connection: gpu_speeds.gpu_speeds(connection, self.node, since))

    def save_gpus(self, infos: Sequence[GpuInfo], at: float) -> None:
        """Remember the GPUs of this node."""
        self._ledger.run(lambda connection: gpus.save_gpus(connection, self.node, infos, at))

    def marks(self) -> list[GpuMark]:
        """Return the operator's marks on GPUs of this node."""
        return self._reads.run(lambda connection: gpus.marks(connection, self.node))

    def mark(self, mark: GpuMark, at: float, actor: Actor) -> None:
        """Drain a GPU in the actor's name, or restore it when the mark says nothing."""
        self._ledger.run(lambda connection: gpus.set_mark(connection, self.node, mark, at, actor))

    def add_booking(self, asked: Booking, actor: Actor) -> Booking:
        """Store a new booking and return it with its id."""
        return self._ledger.run(lambda connection: bookings.add(connection, asked, actor))

    def unbook(self, booking_id: int, at: float, actor: Actor) -> Booking | None:
        """End a booking before its time and return it; None when this node has none of this id that is not over."""
        return self._ledger.run(lambda connection: bookings.call_off(connection, self.node, booking_id, at, actor))

    def bookings(self, over_after: float) -> list[Booking]:
        """Return the bookings of this node that are not over by then, the first to begin first."""
        return self._reads.run(lambda connection: bookings.find(connection, self.node, over_after))

    def raise_anomalies(self, findings: Sequence[Finding], at: float, *, momentary: bool = False) -> list[Anomaly]:
        """Store new anomalies and return them; one that is open already is left as it is."""
        if not findings:
            return []
        return self._ledger.run(
            lambda connection: anomalies.raise_all(connection, self.node, findings, at, momentary=momentary)
        )

    def clear_anomalies(self, ids: Sequence[int], at: float) -> None:
        """Close anomalies whose rule no longer finds them."""
        if ids:
            self._ledger.run(lambda connection: anomalies.clear(connection, ids, at))

    def anomalies(
        self, *, since: float | None = None, open_only: bool = False, job_id: int | None = None
    ) -> list[Anomaly]:
        """Return anomalies, newest first."""
        return self._reads.run(partial(anomalies.find, since=since, open_only=open_only, job_id=job_id))

    def acknowledge(self, anomaly_id: int, at: float, actor: Actor) -> bool:
        """Note that somebody has seen it; False when there is no such anomaly."""
        return self._ledger.run(lambda connection: anomalies.acknowledge(connection, self.node, anomaly_id, at, actor))

    def save_events(self, told: Sequence[Event]) -> list[int]:
        """Store new events, and the grown count of those that have an id already; return their ids, in order."""
        return self._ledger.run(partial(events.save, node=self.node, told=told)) if told else []

    def events(
        self, *, since: float | None = None, kinds: Sequence[EventKind] = (), after_id: int = 0, limit: int = 1000
    ) -> list[Event]:
        """Return this node's newest events, at most `limit`, oldest first; those after a known one with `after_id`."""
        query = partial(events.find, node=self.node, since=since, kinds=kinds, after_id=after_id, limit=limit)
        return self._reads.run(query)

    def add_reports(self, reports: Sequence[Report]) -> None:
        """Keep what jobs reported."""
        if reports:
            self._ledger.run(lambda connection: records.add_reports(connection, self.node, reports))

    def reports(self, job_id: int) -> list[Report]:
        """Return what one job reported, oldest first."""
        return self._reads.run(lambda connection: records.reports_of(connection, job_id))

    def report_count(self, job_id: int, attempt: int | None = None) -> int:
        """Return how many lines one job, or one attempt of it, reported."""
        return self._reads.run(lambda connection: records.report_count(connection, job_id, attempt))

    def audit(self, since: float | None = None, job_id: int | None = None) -> list[AuditRow]:
        """Return the audit rows, oldest first."""
        return self._reads.run(lambda connection: audit.audit_rows(connection, since, job_id))

    def find_audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return this node's audit rows that match, oldest first."""
        return self._reads.run(lambda connection: audit.find(connection, self.node, query))

    def note(self, change: Change, at: float, actor: Actor) -> None:
        """Add a row to the audit for a change of something that is not in the database."""
        row = audit.audit_row(self.node, at, actor, change)
        self._ledger.run(lambda connection: audit.add_audit(connection, [row]))

    def add_token(self, token: Token, actor: Actor) -> bool:
        """Remember what is to be kept of a new token; False when a valid one of this node has its name."""
        return self._ledger.run(lambda connection: tokens.add(connection, self.node, token, actor))

    def token(self, token_hash: str) -> Token | None:
        """Return this node's token of that hash, valid or not."""
        return self._reads.run(lambda connection: tokens.find_one(connection, self.node, token_hash))

    def tokens(self) -> list[Token]:
        """Return this node's tokens, revoked ones too, the oldest first."""
        return self._reads.run(lambda connection: tokens.find(connection, self.node))

    def revoke_token(self, token_hash: str, at: float, actor: Actor) -> bool:
        """Have a token open nothing from now on; False when there is none that is not revoked already."""
        return self._ledger.run(lambda connection: tokens.revoke(connection, self.node, token_hash, at, actor))

    def used_token(self, token_hash: str, at: float, peer: str | None) -> None:
        """Note the last use of a token; not durable, and no row of the audit."""
        self._samples.run(lambda connection: tokens.used(connection, self.node, token_hash, at, peer))

    def roll_up(self, now: float) -> int:
        """Fold closed minutes and hours of samples; idempotent; return rows written."""
        return self._upkeep.roll_up(now)

    def prune(self, now: float) -> int:
        """Delete samples, events, anomalies and reports past their retention, in slices; return rows deleted."""
        return self._upkeep.prune(self.retention, now)

    def reserve_job_ids(self, up_to: int) -> None:
        """Give no new job an id up to this one: something on disk has it, whatever the store remembers."""
        if up_to > self._reads.run(jobs.newest_id):
            self._ledger.run(lambda connection: jobs.reserve_ids(connection, up_to))

    def backup(self, path: Path, wish: BackupWish = PLAIN) -> BackupMade:
        """Write a consistent copy to a new file while work goes on; raise Refused, StoreUnavailable."""
        return self._database.backup(path, replace(wish, node=self.node))

    def facts(self) -> StoreFacts:
        """Describe the database."""
        try:
            return self._facts()
        except DBAPIError as error:
            raise unavailable(error, self._database.name) or error from error

    def _facts(self) -> StoreFacts:
        return StoreFacts(
            url=self._database.name,
            dialect=self._database.dialect,
            schema=self._reads.run(stored_revision),
            size_bytes=self._database.size_bytes(),
            jobs=self._reads.run(lambda connection: connection.execute(_COUNT).scalar_one()),
            samples_dropped=self._writer.dropped,
        )

    def close(self) -> None:
        """Write what is buffered and let go of the connections; samples that cannot be written are lost."""
        try:
            self.flush_samples()
        except StoreUnavailable as error:
            log.warning("samples lost at close", extra={"action": "samples_lost", "why": error.message})
        self._ledger.close()
        self._samples.close()
        self._database.close()
