"""MemoryStore: the Store of core.ports in plain dictionaries, for tests and the simulator."""

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dcdaemon.core.anomaly import Anomaly, Finding
from dcdaemon.core.audit import (
    AuditQuery,
    AuditRow,
    Change,
    acknowledged,
    booked,
    job_change,
    submission,
    token_created,
    token_revoked,
    unbooked,
)
from dcdaemon.core.backup import PLAIN, BackupMade, BackupWish
from dcdaemon.core.booking import Booking
from dcdaemon.core.energy import Metered
from dcdaemon.core.errors import Refused
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.gpu import BUSY_RATIO, GpuInfo, GpuSpeed
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import ACTIVE, ENDED, UNFINISHED, Fate, Job, JobSpec, JobState, Usage, placed
from dcdaemon.core.ports import (
    DAEMON,
    Actor,
    EnergyRow,
    GpuMark,
    JobChange,
    JobQuery,
    MeterState,
    Report,
    StoreFacts,
    UsageDelta,
    mark_change,
)
from dcdaemon.core.prediction import PastPeak, PastRun, Prediction
from dcdaemon.core.samples import AnySample, GpuSample
from dcdaemon.core.token import Token
from dcdaemon.fakes.gpu_time import MemoryGpuTime
from dcdaemon.fakes.ledger import MemoryLedger

_SAMPLES_KEPT_S = 48 * 3600
_EVENTS_KEPT_S = 365 * 86400
_HOURS_KEPT_S = 2 * 365 * 86400


class MemoryStore:
    """Forgets everything at the end of the process; otherwise behaves as the store on a database does."""

    def __init__(self, node: str = "node") -> None:
        self.node = node
        self._lock = threading.RLock()
        self._last_id = 0
        self._last_event = 0
        self._jobs: dict[int, Job] = {}
        self._allocation: dict[tuple[str, int], int] = {}
        #: The jobs on shared GPUs; the one in the allocation is one of them.
        self._shares: dict[tuple[str, int], set[int]] = {}
        self._audit: list[AuditRow] = []
        self._ledger = MemoryLedger()
        self._gpu_time = MemoryGpuTime()
        self._gpus: dict[int, GpuInfo] = {}
        self._marks: dict[int, GpuMark] = {}
        self._bookings: dict[int, Booking] = {}
        self._anomalies: dict[int, Anomaly] = {}
        self._events: dict[int, Event] = {}
        self._reports: list[Report] = []
        self._tokens: dict[str, Token] = {}
        self._buffer: list[GpuSample] = []
        self._samples: dict[tuple[int, int], GpuSample] = {}  # GPU, second

    def submit(
        self, specs: Sequence[JobSpec], at: float, actor: Actor, predictions: Sequence[Prediction] = ()
    ) -> list[Job]:
        """Store new waiting jobs and return them with their ids, in order."""
        with self._lock:
            ids = range(self._last_id + 1, self._last_id + 1 + len(specs))
            expected: Sequence[Prediction | None] = predictions or [None] * len(specs)
            jobs = [self._new(placed(spec, ids), at, known) for spec, known in zip(specs, expected, strict=True)]
            self._jobs.update({job.id: job for job in jobs})
            for job in jobs:
                self._note(at, actor, submission(job.id, job.spec))
            return jobs

    def save(self, changes: Sequence[JobChange]) -> list[Job | None]:
        """Apply each change on its own; None where it came too late."""
        with self._lock:
            return [self._apply(change) for change in changes]

    def _apply(self, change: JobChange) -> Job | None:
        before, after = change.before, change.after
        gained, lost = _held(after) - _held(before), _held(before) - _held(after)
        stored = self._jobs.get(before.id)
        if stored is None or stored.version != before.version or not self._may_take(after, gained):
            return None
        self._jobs[after.id] = after
        for slot in gained:
            self._allocation.setdefault(slot, after.id)
            if after.spec.gpu_mem_bytes is not None:
                self._shares.setdefault(slot, set()).add(after.id)
        for slot in lost:
            self._free(slot, after.id)
        self._gpu_time.charge(before, after, self._gpus)
        if change.action is not None:
            self._note(change.at, change.actor or DAEMON, job_change(change.action, before, after))
        return after

    def _may_take(self, job: Job, slots: set[tuple[str, int]]) -> bool:
        taken = slots & self._allocation.keys()
        return not taken or (job.spec.gpu_mem_bytes is not None and taken <= self._shares.keys())

    def _free(self, slot: tuple[str, int], job_id: int) -> None:
        left = self._shares.get(slot, set())
        left.discard(job_id)
        if left:
            self._allocation[slot] = min(left)
        else:
            self._allocation.pop(slot, None)
            self._shares.pop(slot, None)

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        return self._jobs.get(job_id)

    def jobs(self, query: JobQuery) -> list[Job]:
        """Return the jobs that match."""
        with self._lock:
            found = [job for job in self._jobs.values() if _matches(job, query)]
        found.sort(key=lambda job: job.id, reverse=not query.oldest_first)
        return found[: query.limit]

    def fates(self, job_ids: Iterable[int]) -> dict[int, Fate]:
        """Return where each known id stands."""
        known = (self._jobs[job_id] for job_id in job_ids if job_id in self._jobs)
        return {job.id: Fate(job.state, job.ended_at) for job in known}

    def past_runs(self, most: int) -> list[PastRun]:
        """Return the last runs, the oldest first."""
        ended = (job for job in self._jobs.values() if job.state in ENDED and job.ended_at is not None)
        by_end = sorted(ended, key=lambda job: (job.ended_at, job.id))
        runs = [
            PastRun(
                job.spec.user, job.spec.argv, job.spec.gpus, job.spec.limit_s, job.state, job.run_s,
                job.predicted_s, job.predicted_by,
            )
            for job in by_end
            if job.run_s is not None
        ]  # fmt: skip
        return runs[-most:]

    def past_peaks(self, user: str, most: int) -> list[PastPeak]:
        """Return what a user's runs on one GPU held that ended well, the newest first; of the last `most` jobs."""
        last = sorted((job for job in self._jobs.values() if job.spec.user == user), key=lambda job: -job.id)[:most]
        well = [job for job in last if job.state is JobState.SUCCEEDED and job.spec.gpus == 1]
        well.sort(key=lambda job: (job.ended_at or 0.0, job.id), reverse=True)
        peaks = ((job, self._ledger.usage.get(job.id, Usage(job.id)).mem_peak_bytes) for job in well)
        return [PastPeak(job.spec.argv, peak) for job, peak in peaks if peak is not None]

    def env_refs(self, ended_since: float) -> set[str]:
        """Return the environments of all jobs that are unfinished or ended since then."""
        with self._lock:
            return {
                job.spec.env_ref
                for job in self._jobs.values()
                if job.state in UNFINISHED or (job.ended_at is not None and job.ended_at >= ended_since)
            }

    def book(self, metered: Sequence[Metered], usage: Sequence[UsageDelta]) -> None:
        """Add measured energy and usage to the ledger; raise ValueError for parts that do not add up."""
        with self._lock:
            self._ledger.book(metered, usage, self._gpus)

    def meters(self) -> list[MeterState]:
        """Return where each meter of this node stood."""
        with self._lock:
            return self._ledger.meters(self.node)

    def usage(self, job_ids: Iterable[int]) -> dict[int, Usage]:
        """Return the usage of each job that has any."""
        with self._lock:
            return {job_id: self._ledger.usage[job_id] for job_id in job_ids if job_id in self._ledger.usage}

    def energy(self, by: str, since: float | None) -> list[EnergyRow]:
        """Sum booked energy by user, job, gpu or day, largest first; raise BadInput for anything else."""
        with self._lock:
            users = {job.id: job.spec.user for job in self._jobs.values()}
            return self._ledger.energy(self.node, users, by, since)

    def gpu_time(self, since: float, step_s: int) -> list[GpuTime]:
        """Return what each account and user used of this node's GPUs since then, summed up in steps of time."""
        with self._lock:
            return self._gpu_time.used_since(self.node, since, step_s)

    def record(self, samples: Sequence[AnySample]) -> None:
        """Keep GPU samples until the next flush; the others are never asked for."""
        with self._lock:
            self._buffer.extend(sample for sample in samples if isinstance(sample, GpuSample))

    def flush_samples(self) -> None:
        """Make the buffered samples readable."""
        with self._lock:
            for sample in self._buffer:
                second = int(sample.at)
                kept = replace(sample, at=float(second), monotonic_s=0.0, processes=None)
                self._samples[sample.gpu, second] = kept
            self._buffer.clear()

    def gpu_samples(self, gpu: int, since: float, until: float) -> list[GpuSample]:
        """Return the stored samples of one GPU, oldest first."""
        with self._lock:
            found = [sample for (index, at), sample in self._samples.items() if index == gpu and since <= at <= until]
        return sorted(found, key=lambda sample: sample.at)

    def gpu_speeds(self, since: float) -> list[GpuSpeed]:
        """Return how fast each GPU was since then while it was busy; minutes are folded when they are asked for."""
        minutes: dict[tuple[int, int], list[GpuSample]] = {}
        with self._lock:
            for (gpu, at), sample in self._samples.items():
                if at >= since and not sample.simulated:
                    minutes.setdefault((gpu, int(at // 60)), []).append(sample)
        clocks: dict[int, list[float]] = {}
        for (gpu, _), samples in sorted(minutes.items()):
            known = [sample.sm_clock_hz for sample in samples if sample.sm_clock_hz is not None]
            used = [sample.util_ratio for sample in samples if sample.util_ratio is not None]
            if known and used and min(used) >= BUSY_RATIO:
                clocks.setdefault(gpu, []).append(sum(known) / len(known))
        return [GpuSpeed(gpu, len(hz), sum(hz) / len(hz)) for gpu, hz in sorted(clocks.items())]

    def save_gpus(self, gpus: Sequence[GpuInfo], at: float) -> None:  # noqa: ARG002  never asked for
        """Remember the GPUs of this node."""
        with self._lock:
            self._gpus.update({info.index: info for info in gpus})

    def marks(self) -> list[GpuMark]:
        """Return the operator's marks on GPUs of this node."""
        with self._lock:
            return [self._marks[gpu] for gpu in sorted(self._marks)]

    def mark(self, mark: GpuMark, at: float, actor: Actor) -> None:
        """Drain a GPU in the actor's name, or restore it when the mark says nothing."""
        with self._lock:
            known = self._marks.get(mark.gpu)
            if mark.drained is None:
                self._marks.pop(mark.gpu, None)
            else:
                self._marks[mark.gpu] = replace(mark, drained_by=actor.user, drained_at=at)
            self._note(at, actor, mark_change(mark, known.drained if known else None))

    def add_booking(self, asked: Booking, actor: Actor) -> Booking:
        """Store a new booking and return it with its id."""
        with self._lock:
            made = replace(asked, id=len(self._bookings) + 1)
            self._bookings[made.id] = made
            self._note(made.booked_at, actor, booked(made))
            return made

    def unbook(self, booking_id: int, at: float, actor: Actor) -> Booking | None:
        """End a booking before its time and return it; None when there is none of this id that is not over."""
        with self._lock:
            booking = self._bookings.get(booking_id)
            if booking is None or booking.unbooked_at is not None or booking.until_at <= at:
                return None
            self._bookings[booking_id] = replace(booking, unbooked_at=at)
            self._note(at, actor, unbooked(self._bookings[booking_id]))
            return self._bookings[booking_id]

    def bookings(self, over_after: float) -> list[Booking]:
        """Return the bookings that are not over by then, the first to begin first."""
        with self._lock:
            wanted = (booking for booking in self._bookings.values() if booking.ends_at > over_after)
            return sorted(wanted, key=lambda booking: (booking.from_at, booking.id))

    def raise_anomalies(self, findings: Sequence[Finding], at: float, *, momentary: bool = False) -> list[Anomaly]:
        """Store new anomalies and return them; one that is open already is left as it is."""
        with self._lock:
            return [
                self._raise(finding, at, at if momentary else None)
                for finding in findings
                if momentary or not self._is_open(finding)
            ]

    def _is_open(self, finding: Finding) -> bool:
        return any(
            anomaly.cleared_at is None
            and (anomaly.finding.rule, anomaly.finding.subject) == (finding.rule, finding.subject)
            for anomaly in self._anomalies.values()
        )

    def _raise(self, finding: Finding, at: float, cleared_at: float | None) -> Anomaly:
        anomaly = Anomaly(len(self._anomalies) + 1, self.node, finding, at, cleared_at)
        self._anomalies[anomaly.id] = anomaly
        return anomaly

    def clear_anomalies(self, ids: Sequence[int], at: float) -> None:
        """Close anomalies whose rule no longer finds them."""
        with self._lock:
            for anomaly_id in ids:
                anomaly = self._anomalies.get(anomaly_id)
                if anomaly and anomaly.cleared_at is None:
                    self._anomalies[anomaly_id] = replace(anomaly, cleared_at=at)

    def anomalies(
        self, *, since: float | None = None, open_only: bool = False, job_id: int | None = None
    ) -> list[Anomaly]:
        """Return anomalies, newest first."""
        with self._lock:
            return [
                anomaly
                for anomaly in reversed(self._anomalies.values())
                if (since is None or anomaly.raised_at >= since)
                and (not open_only or anomaly.cleared_at is None)
                and (job_id is None or anomaly.finding.job_id == job_id)
            ]

    def acknowledge(self, anomaly_id: int, at: float, actor: Actor) -> bool:
        """Note that somebody has seen it; False when there is no such anomaly."""
        with self._lock:
            anomaly = self._anomalies.get(anomaly_id)
            if anomaly is None:
                return False
            self._anomalies[anomaly_id] = replace(anomaly, acked_by=actor.user)
            self._note(at, actor, acknowledged(anomaly_id, anomaly.acked_by, actor.user))
            return True

    def save_events(self, events: Sequence[Event]) -> list[int]:
        """Store new events, and the grown count of those that have an id already; return their ids, in order."""
        with self._lock:
            return [self._save_event(event) for event in events]

    def _save_event(self, event: Event) -> int:
        known = self._events.get(event.id or 0)
        if known is None or (known.kind, known.subject) != (event.kind, event.subject):
            self._last_event += 1
            evidence = json.loads(json.dumps(event.evidence, default=str))
            known = replace(event, id=self._last_event, evidence=evidence)
        assert known.id is not None  # noqa: S101  narrows the type
        self._events[known.id] = replace(known, count=event.count)
        return known.id

    def events(
        self, *, since: float | None = None, kinds: Sequence[EventKind] = (), after_id: int = 0, limit: int = 1000
    ) -> list[Event]:
        """Return the newest events, at most `limit`, oldest first; those after a known one with `after_id`."""
        with self._lock:
            found = [
                event
                for number, event in self._events.items()
                if number > after_id and (since is None or event.at >= since) and (not kinds or event.kind in kinds)
            ]
        return found[max(len(found) - limit, 0) :]

    def add_reports(self, reports: Sequence[Report]) -> None:
        """Keep what jobs reported."""
        with self._lock:
            self._reports.extend(reports)

    def reports(self, job_id: int) -> list[Report]:
        """Return what one job reported, oldest first."""
        with self._lock:
            return [line for line in self._reports if line.job_id == job_id]

    def report_count(self, job_id: int, attempt: int | None = None) -> int:
        """Return how many lines one job, or one attempt of it, reported."""
        return sum(1 for line in self.reports(job_id) if attempt in {None, line.attempt})

    def audit(self, since: float | None = None, job_id: int | None = None) -> list[AuditRow]:
        """Return the audit rows, oldest first."""
        with self._lock:
            return [
                row
                for row in self._audit
                if (since is None or row.at >= since) and (job_id is None or row.job_id == job_id)
            ]

    def find_audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return the audit rows that match, oldest first."""
        with self._lock:
            found = [row for row in self._audit if _tells(row, query)]
        return found if query.limit is None else found[max(len(found) - query.limit, 0) :]

    def note(self, change: Change, at: float, actor: Actor) -> None:
        """Add a row to the audit for a change of something that is not in the store."""
        with self._lock:
            self._note(at, actor, change)

    def add_token(self, token: Token, actor: Actor) -> bool:
        """Remember what is to be kept of a new token; False when a valid one has its name."""
        with self._lock:
            if any(known.name == token.name and known.revoked_at is None for known in self._tokens.values()):
                return False
            self._tokens[token.hash] = token
            self._note(token.created_at, actor, token_created(token))
            return True

    def token(self, token_hash: str) -> Token | None:
        """Return the token of that hash, valid or not."""
        return self._tokens.get(token_hash)

    def tokens(self) -> list[Token]:
        """Return the tokens, revoked ones too, the oldest first."""
        with self._lock:
            return sorted(self._tokens.values(), key=lambda token: (token.created_at, token.hash))

    def revoke_token(self, token_hash: str, at: float, actor: Actor) -> bool:
        """Have a token open nothing from now on; False when there is none that is not revoked already."""
        with self._lock:
            token = self._tokens.get(token_hash)
            if token is None or token.revoked_at is not None:
                return False
            self._tokens[token_hash] = replace(token, revoked_at=at, revoked_by=actor.user)
            self._note(at, actor, token_revoked(token, at))
            return True

    def used_token(self, token_hash: str, at: float, peer: str | None) -> None:
        """Note the last use of a token."""
        with self._lock:
            self._tokens[token_hash] = replace(self._tokens[token_hash], last_used_at=at, last_used_from=peer)

    def roll_up(self, now: float) -> int:  # noqa: ARG002  nothing here is read by minute or hour
        """Fold nothing."""
        return 0

    def prune(self, now: float) -> int:
        """Forget samples older than two days, events of a year ago, GPU time of two; return how many those were."""
        with self._lock:
            expired = [key for key in self._samples if key[1] < now - _SAMPLES_KEPT_S]
            for key in expired:
                del self._samples[key]
            past = [number for number, event in self._events.items() if event.at < now - _EVENTS_KEPT_S]
            for number in past:
                del self._events[number]
            return len(expired) + len(past) + self._gpu_time.forget(now - _HOURS_KEPT_S)

    def reserve_job_ids(self, up_to: int) -> None:
        """Give no new job an id up to this one."""
        with self._lock:
            self._last_id = max(self._last_id, up_to)

    def backup(self, path: Path, wish: BackupWish = PLAIN) -> BackupMade:  # noqa: ARG002  the port's signature
        """Refuse: there is nothing to copy."""
        msg = f"a store in memory is not backed up to {path}"
        raise Refused(msg, "use a database")

    def facts(self) -> StoreFacts:
        """Describe the store."""
        return StoreFacts("memory", "memory", None, None, len(self._jobs), 0)

    def close(self) -> None:
        """Make the last samples readable."""
        self.flush_samples()

    def _new(self, spec: JobSpec, at: float, prediction: Prediction | None) -> Job:
        self._last_id += 1
        start = prediction and prediction.start
        return Job(
            id=self._last_id,
            node=self.node,
            spec=spec,
            state=JobState.WAITING,
            submitted_at=at,
            queued_at=at,
            held=spec.held,
            priority=spec.priority,
            predicted_s=prediction and prediction.run_s,
            predicted_by=prediction and prediction.by.value,
            forecast_at=start and start.at,
            forecast_low_at=start and start.low_at,
            forecast_high_at=start and start.high_at,
        )

    def _note(self, at: float, actor: Actor, change: Change) -> None:
        row = AuditRow(
            at, actor.uid, actor.user, actor.via, change.action, change.job_id, change.detail, len(self._audit) + 1,
            actor.peer, actor.token, change.subject, change.before, change.after,
        )  # fmt: skip
        self._audit.append(row)


def _tells(row: AuditRow, query: AuditQuery) -> bool:
    return (
        (query.since is None or row.at >= query.since)
        and (not query.job_ids or row.job_id in query.job_ids)
        and query.uid in (None, row.uid)
        and query.user in (None, row.user)
        and query.action in (None, row.action)
    )


def _held(job: Job) -> set[tuple[str, int]]:
    return {(job.node, gpu) for gpu in job.gpus} if job.state in ACTIVE else set()


def _matches(job: Job, query: JobQuery) -> bool:
    return (
        (not query.ids or job.id in query.ids)
        and (not query.states or job.state in query.states)
        and query.uid in (None, job.spec.uid)
        and query.user in (None, job.spec.user)
        and query.name in (None, job.spec.name)
        and query.array_id in (None, job.spec.array_id)
        and (query.submitted_since is None or job.submitted_at >= query.submitted_since)
        and (query.ended_since is None or (job.ended_at is not None and job.ended_at >= query.ended_since))
    )
