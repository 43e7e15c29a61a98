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
        """Read once, record, and flush; raise StoreUnavailable when samples had to stay in the buffer."""
        reading = self._source.read()
        self._desk.board.host = reading
        self._desk.store.record((), reading)
        self._desk.store.flush_samples()
