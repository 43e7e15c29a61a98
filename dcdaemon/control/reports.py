"""What jobs report of their training: read from their files, stored by the line, the last values with the job."""

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dcdaemon.core.job import Job
from dcdaemon.core.ports import Engine, Report, Store

Values = dict[str, float | int | str | None]
#: So many are kept with the job and shown; the lines themselves are stored whole.
MAX_QUANTITIES = 100
#: So many lines of one attempt are stored; of later ones only the newest values are kept. A job that writes without
#: end must not fill everybody's database.
MAX_LINES = 50_000
#: The same by how far into the attempt's report they stand: a line may have 64 KB.
MAX_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class _Place:
    """How far one attempt's report file was read, and the last value of each quantity in it so far."""

    known: bool
    offset: int = 0
    stored: int = 0
    values: Values = field(default_factory=dict)
    #: Each attempt has its own, so that one that reports much holds up nobody else's start or end.
    lock: threading.Lock = field(default_factory=threading.Lock)

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
            self._places[(job.id, job.attempt)] = _Place(known=True)

    def collect(self, job: Job) -> Values:
        """Store what is new of an attempt and return the last value of each quantity it has reported so far."""
        with self._lock:
            place = self._places.setdefault((job.id, job.attempt), _Place(known=False))
        with place.lock:
            if not place.known:
                self._resume(job, place)
            reports, offset = self._engine.reports(job, place.offset)
            self._keep(place, reports, offset)
            return dict(place.values)

    def _keep(self, place: _Place, reports: Sequence[Report], offset: int, already: int = 0) -> None:
        """Store all but the first `already` lines, as far as there is room, and go on behind them."""
        room = MAX_LINES - place.stored if place.offset < MAX_BYTES else 0
        fresh = reports[already : already + max(0, room)]
        if fresh:
            self._store.add_reports(fresh)
        place.stored += len(fresh)
        place.add(reports, offset)

    def _resume(self, job: Job, place: _Place) -> None:
        """Step over the lines of an attempt that an earlier daemon stored, however many reads they take."""
        left = self._store.report_count(job.id, job.attempt)
        place.offset, place.stored, place.values = 0, left, {}
        while left > 0:
            reports, offset = self._engine.reports(job, place.offset)
            if offset == place.offset:
                break
            self._keep(place, reports, offset, already=left)
            left -= len(reports)
        place.known = True

    def forget(self, job: Job) -> None:
        """Drop the place of an attempt that is over."""
        with self._lock:
            self._places.pop((job.id, job.attempt), None)
