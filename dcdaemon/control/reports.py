"""What jobs report of their training: read from their report files, kept in the store, the last values kept with the job."""

import threading

from dcdaemon.core.job import Job
from dcdaemon.core.ports import Engine, Store

Values = dict[str, float | int | str | None]


class ReportReader:
    """Remembers how far each attempt's report file was read; each line is stored once."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._offsets: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def begin(self, job: Job) -> None:
        """Note that an attempt is about to be launched, so that nothing of it can be stored yet."""
        with self._lock:
            self._offsets[(job.id, job.attempt)] = 0

    def collect(self, job: Job) -> Values:
        """Store what is new of an attempt and return the last value of each quantity in it."""
        with self._lock:
            key = (job.id, job.attempt)
            if key not in self._offsets:
                return self._resume(job)
            reports, offset = self._engine.reports(job, self._offsets[key])
            if reports:
                self._store.add_reports(reports)
            self._offsets[key] = offset
            return {name: value for report in reports for name, value in report.values.items()}

    def _resume(self, job: Job) -> Values:
        """Read an attempt from its start; lines that an earlier daemon stored are stepped over."""
        known = sum(1 for report in self._store.reports(job.id) if report.attempt == job.attempt)
        reports, offset = self._engine.reports(job, 0)
        if reports[known:]:
            self._store.add_reports(reports[known:])
        self._offsets[(job.id, job.attempt)] = offset
        return {name: value for report in reports for name, value in report.values.items()}

    def forget(self, job: Job) -> None:
        """Drop the place of an attempt that is over."""
        with self._lock:
            self._offsets.pop((job.id, job.attempt), None)
