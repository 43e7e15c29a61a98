"""Every few seconds: read the host's own sensors, and write the buffered samples."""

from dcdaemon.control.desk import Desk
from dcdaemon.core.ports import HostSource


class HostDuty:
    """Keeps the newest host reading on the board and in the store."""

    name = "host"

    def __init__(self, desk: Desk, source: HostSource, every_s: float) -> None:
        self.every_s = every_s
        self._desk = desk
        self._source = source

    def tick(self) -> None:
        """Read, record, and flush samples and events; raise StoreUnavailable when they had to stay in memory."""
        desk = self._desk
        reading = self._source.read()
        samples = tuple(reading.samples())
        desk.board.host = reading
        desk.board.newest.take(samples, desk.clock.monotonic())
        desk.store.record(samples)
        holders = desk.book.holders()
        desk.board.events.flush(desk.store, lambda gpu: job.id if (job := holders.get(gpu)) else None)
        desk.store.flush_samples()
