"""Every second: read the GPUs, tell the scheduler what may be given away, and meter energy and use.

Nothing here waits for the database; the storing duty books what was metered.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Sequence

from dcdaemon.anomalies.picture import Allocation, SharedBy
from dcdaemon.anomalies.utilisation import UtilHistory
from dcdaemon.control.containers import attribute_containers, disowned
from dcdaemon.control.desk import Desk
from dcdaemon.control.drain import refresh_slots
from dcdaemon.control.gpu_state import attribute_processes, mark_strays
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import ENDED, Job
from dcdaemon.core.ports import GpuSource
from dcdaemon.core.samples import GpuReading, GpuSample, averaged
from dcdaemon.energy.attribute import Holding
from dcdaemon.energy.combine import combine
from dcdaemon.energy.ledger import Booking, Ledger
from dcdaemon.energy.usage import merge
from dcdaemon.telemetry.containers import Containers
from dcdaemon.telemetry.processes import start_ticks

#: How far back ended jobs are remembered, so that the interval in which they ended is split truly.
_REMEMBER_S = 120.0


class GpuDuty:
    """Reads and meters; `book_due` books every few seconds, or at once when a job has ended."""

    name = "gpus"

    def __init__(
        self, desk: Desk, source: GpuSource, every_s: float, book_every_s: float, idle_window_s: float
    ) -> None:
        self.every_s = every_s
        self.history = UtilHistory(idle_window_s)
        self._desk = desk
        self._source = source
        self._book_every_s = book_every_s
        self._ledger = Ledger(desk.node, tuple(desk.store.meters()))
        self._pending: deque[Booking] = deque()
        self._sweeps: list[tuple[GpuSample, ...]] = []
        self._unsaved: tuple[GpuInfo, ...] | None = None
        self._recorded_s = self._booked_s = desk.clock.monotonic()
        self._settle = threading.Event()
        self._may_book = threading.Event()
        self._booking = threading.Lock()
        self._showing = threading.Lock()
        self._containers = Containers()

    def noted(self, job: Job) -> None:
        """Have the use of a job that ended booked with the next reading, from any thread."""
        if job.state in ENDED and job.gpus:
            self._settle.set()
            self._disown()

    def tick(self) -> None:
        """Read once."""
        desk = self._desk
        settle = self._settle.is_set()
        self._settle.clear()
        reading = self._read()
        self._sweeps.append(reading.samples)
        self.history.add(reading.samples, self.allocations())
        self._ledger, booking = self._ledger.advance(reading, self._holdings())
        if booking.metered or booking.usage:
            self._pending.append(booking)
        now_s = desk.clock.monotonic()
        if now_s - self._recorded_s >= self._book_every_s:
            desk.store.record((*averaged(self._sweeps), *reading.migs))
            self._sweeps.clear()
            self._recorded_s = now_s
        if settle:
            self._may_book.set()

    def book_due(self) -> bool:
        """Book when it is time, or when the reading after the end of a job is there, and tell whether it was.

        Raise StoreUnavailable when it was time and the database could not take it.
        """
        now_s = self._desk.clock.monotonic()
        if not self._may_book.is_set() and now_s - self._booked_s < self._book_every_s:
            return False
        self._may_book.clear()
        self._booked_s = now_s
        self.book()
        return True

    def book(self) -> None:
        """Write what was metered into the ledger, in one transaction; what cannot be written waits."""
        with self._booking:
            if self._unsaved is not None:
                self._desk.store.save_gpus(self._unsaved, self._desk.clock.now())
                self._unsaved = None
            self._book([self._pending.popleft() for _ in range(len(self._pending))])

    def _book(self, bookings: Sequence[Booking]) -> None:
        if not bookings:
            return
        metered = combine(interval for booking in bookings for interval in booking.metered)
        usage = merge(delta for booking in bookings for delta in booking.usage)
        try:
            self._desk.store.book(metered, usage)
        except BaseException:
            # Folded into one, so that a long outage of the database costs no memory.
            self._pending.appendleft(Booking(tuple(metered), tuple(usage)))
            raise
        self._desk.board.booked_until = max((interval.to_at for interval in metered), default=0.0)

    def allocations(self) -> dict[int, Allocation]:
        """Tell which job holds each GPU."""
        return {
            gpu: Allocation(job.id, job.spec.user, job.spec.name, job.started_at or self._desk.clock.now())
            for gpu, job in self._desk.book.holders().items()
        }

    def shares(self) -> tuple[SharedBy, ...]:
        """Tell which jobs have a share of which GPU."""
        return tuple(
            SharedBy(job.id, job.spec.user, job.spec.name, gpu, job.spec.gpu_mem_bytes)
            for job in self._desk.book.active()
            if job.is_sharing and job.spec.gpu_mem_bytes is not None
            for gpu in job.gpus
        )

    def _read(self) -> GpuReading:
        desk = self._desk
        reading = self._source.read()
        pids = {process.pid for sample in reading.samples for process in sample.processes or ()}
        if pids:
            owners = desk.engine.owners(pids, desk.book.active())
            gone = {pid for pid in pids - owners.keys() if start_ticks(pid) is None}
            reading = attribute_processes(reading, owners, gone)
            containers = self._containers.of(pids - owners.keys() - gone)
            active = desk.book.active()
            reading = attribute_containers(reading, containers, active, desk.clock.now())
            reading = mark_strays(reading, active)
        if reading.gpus != desk.gpus:
            self._unsaved = desk.gpus = reading.gpus
        with self._showing:
            self._show(reading)
        desk.board.newest.take((*reading.samples, *reading.migs), desk.clock.monotonic())
        return reading

    def _show(self, reading: GpuReading) -> None:
        """Tell the scheduler and the API what holds the GPUs."""
        desk = self._desk
        desk.board.gpus = disowned(reading, {job.id for job in desk.book.active()})
        refresh_slots(desk)

    def _disown(self) -> None:
        """Before the GPUs of a job that ended are given away: a container that outlives it goes on holding memory."""
        processes = (process for sample in self._desk.board.gpus.samples for process in sample.processes or ())
        if any(process.container is not None for process in processes):
            with self._showing, contextlib.suppress(StoreUnavailable):  # the next reading tells it again
                self._show(self._desk.board.gpus)

    def _holdings(self) -> list[Holding]:
        """Return who used each GPU since its energy was split last: long ago for one that was lost meanwhile."""
        recently = self._desk.clock.now() - _REMEMBER_S
        split_at = {state.gpu: state.at for state in self._ledger.states}
        for gpu, meter in self._ledger.meters.items():
            if meter.reading is not None:
                split_at[gpu] = meter.reading.at
        since_of = {gpu: min(at, recently) for gpu, at in split_at.items()}
        holds = self._desk.book.holds(recently, self._desk.clock.now(), since_of)
        return [Holding(hold.job_id, hold.gpu, hold.from_at, hold.to_at, hold.weight) for hold in holds]
