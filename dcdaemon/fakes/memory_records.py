"""What MemoryStore keeps of what was noticed: anomalies, events, the reports of jobs."""

import json
from collections.abc import Sequence
from dataclasses import replace

from dcdaemon.core.anomaly import Anomaly, Finding
from dcdaemon.core.audit import acknowledged
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.ports import Actor, Report
from dcdaemon.fakes.memory import Memory


class MemoryRecords(Memory):
    """Anomalies, events and reports."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self._anomalies: dict[int, Anomaly] = {}
        self._events: dict[int, Event] = {}
        self._last_event = 0
        self._reports: list[Report] = []

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
