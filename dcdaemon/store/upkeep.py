"""The work that the samples of a node make: minutes and hours are folded, what is past its retention is deleted."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.store.read_lane import ReadLane
from dcdaemon.store.retention import Retention, expired
from dcdaemon.store.revision import HEAD, stored_revision
from dcdaemon.store.roll_up import fold, marks, next_task, too_far, wind_back, write_folded
from dcdaemon.store.sample_writer import SampleWriter
from dcdaemon.store.series import SERIES, Series
from dcdaemon.store.write_lane import WriteLane


class Upkeep:
    """One node's upkeep of the database: many short transactions, so that the ledger never waits for it."""

    def __init__(self, node: str, reads: ReadLane, samples: WriteLane, writer: SampleWriter, tell: Tell) -> None:
        self._node = node
        self._reads = reads
        self._samples = samples
        self._writer = writer
        self._tell = tell
        self._schema: str | None = HEAD

    def roll_up(self, now: float) -> int:
        """Fold closed minutes and hours of samples; idempotent; return rows written."""
        self._look_at_schema(now)
        done = self._reads.run(partial(marks, node=self._node))
        if ahead := too_far(done, now):
            self._samples.run(partial(wind_back, node=self._node, places=ahead))
            done |= ahead
        written_until = self._writer.written_until(now)
        return sum(
            self._fold(series, bucket_s, done.get((series.raw.name, bucket_s), 0), written_until)
            for series in SERIES.values()
            for bucket_s in series.folded
        )

    def _look_at_schema(self, now: float) -> None:
        """Tell once when another program has migrated the database under this one."""
        stored = self._reads.run(stored_revision)
        if stored != self._schema:
            self._schema = stored
            message = (
                f"the database has schema {stored} now, this daemon writes {HEAD}: restart it with the new version"
            )
            self._tell(Event(now, EventKind.SCHEMA_CHANGED, "database", message, {"stored": stored, "known": HEAD}))

    def _fold(self, series: Series, bucket_s: int, until: int, now: float) -> int:
        rows = 0
        find = partial(next_task, node=self._node, series=series, bucket_s=bucket_s, now=now)
        while task := self._reads.run(partial(find, folded_until=until)):
            folded = self._reads.run(partial(fold, task=task))
            rows += self._samples.run(partial(write_folded, folded=folded))
            until = task.stop
        return rows

    def prune(self, retention: Retention, now: float) -> int:
        """Delete samples, events, anomalies and reports past their retention, in slices; return rows deleted."""
        self.roll_up(now)
        return sum(self._run_slices(delete_slice) for delete_slice in expired(self._node, retention, now))

    def _run_slices(self, work: Callable[[Connection], int | None]) -> int:
        rows = 0
        while (done := self._samples.run(work)) is not None:
            rows += done
        return rows
