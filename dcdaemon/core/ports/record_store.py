"""The part of the store that keeps what was noticed: anomalies, events, the reports of jobs."""

from collections.abc import Sequence
from typing import Protocol

from dcdaemon.core.anomaly import Anomaly, Finding
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.ports.actor import Actor
from dcdaemon.core.ports.attempt import Report


class RecordStore(Protocol):
    """What was noticed."""

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
