"""What jobs report of their training: read from their files, stored by the line, the last values with the job."""

import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from dcdaemon.core.job import Job
from dcdaemon.core.ports import Engine, Report, Store

Values = dict[str, float | int | str | None]
#: So many are kept with the job and shown; the lines themselves are stored whole.
MAX_QUANTITIES = 100


@dataclass(slots=True)
class _Place:
    """How far one attempt's report file was read, and the last value of each quantity in it so far."""

    offset: int = 0
    values: Values = field(default_factory=dict)

    def add(self, reports: Iterable[Report], offset: int) -> None:
        for report in reports:
            # The newest quantities first: what a training says last, its result, is what a table has room for.
            merged = {**report.values, **{name: old for name, old in self.values.items() if name not in report.values}}
            self.values = dict(itertools.islice(merged.items(), MAX_QUANTITIES))
        self.offset = offset


class ReportReader:
    """Remembers how far each attempt's report file was read; each line is stored once."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._places: dict[tuple[int, int], _Place] = {}
        self._lock = threading.Lock()

    def begin(self, job: Job) -> None:
        """Note that an attempt is about to be launched, so that nothing of it can be stored yet."""
        with self._lock:
            self._places[(job.id, job.attempt)] = _Place()

    def collect(self, job: Job) -> Values:
        """Store what is new of an attempt and return the last value of each quantity it has reported so far."""
        with self._lock:
            place = self._places.get((job.id, job.attempt)) or self._resume(job)
            reports, offset = self._engine.reports(job, place.offset)
            if reports:
                self._store.add_reports(reports)
            place.add(reports, offset)
            return dict(place.values)

    def _resume(self, job: Job) -> _Place:
        """Step over the lines of an attempt that an earlier daemon stored, however many reads they take."""
        known = sum(1 for report in self._store.reports(job.id) if report.attempt == job.attempt)
        place = _Place()
        while known > 0:
            reports, offset = self._engine.reports(job, place.offset)
            if offset == place.offset:
                break
            if reports[known:]:
                self._store.add_reports(reports[known:])
            known -= len(reports)
            place.add(reports, offset)
        self._places[(job.id, job.attempt)] = place
        return place

    def forget(self, job: Job) -> None:
        """Drop the place of an attempt that is over."""
        with self._lock:
            self._places.pop((job.id, job.attempt), None)
