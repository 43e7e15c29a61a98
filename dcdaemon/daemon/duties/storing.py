"""Write what the other duties have measured: a database that is slow or away delays none of them."""

from collections.abc import Callable

from dcdaemon.control.desk import Desk
from dcdaemon.control.event_book import holder_among
from dcdaemon.core.errors import StoreUnavailable


class StoringDuty:
    """Books energy and use as soon as they are due, and writes samples and events every few seconds."""

    name = "storing"

    def __init__(self, desk: Desk, book_due: Callable[[], bool], flush_every_s: float, every_s: float = 1.0) -> None:
        self.every_s = every_s
        self._desk = desk
        self._flush_every_s = flush_every_s
        self._flushed_s = -flush_every_s
        self._flush = False
        self._works = (book_due, self._flush_events, self._flush_samples)
        self._troubles: dict[Callable[[], bool], StoreUnavailable] = {}

    def tick(self) -> None:
        """Write what is due; raise StoreUnavailable, after everything was tried, while something has to wait."""
        now_s = self._desk.clock.monotonic()
        self._flush = now_s - self._flushed_s >= self._flush_every_s
        if self._flush:
            self._flushed_s = now_s
        for work in self._works:
            self._try(work)
        if self._troubles:
            raise next(iter(self._troubles.values()))

    def _try(self, work: Callable[[], bool]) -> None:
        """Do one work; what kept it from being done stands until it was done, not only at the ticks it was tried."""
        try:
            if work():
                self._troubles.pop(work, None)
        except StoreUnavailable as error:
            self._troubles[work] = error

    def _flush_events(self) -> bool:
        desk = self._desk
        if self._flush:
            desk.board.events.flush(desk.store, holder_among(desk.book.holds(0.0, desk.clock.now())))
        return self._flush

    def _flush_samples(self) -> bool:
        if self._flush:
            self._desk.store.flush_samples()
        return self._flush
