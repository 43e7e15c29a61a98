"""Write what the other duties have measured: a database that is slow or away delays none of them."""

from collections.abc import Callable

from dcdaemon.control.desk import Desk
from dcdaemon.control.event_book import holder_among
from dcdaemon.core.errors import StoreUnavailable


class StoringDuty:
    """Books energy and use as soon as they are due, and writes samples and events every few seconds."""

    name = "storing"

    def __init__(self, desk: Desk, book_due: Callable[[], None], flush_every_s: float, every_s: float = 1.0) -> None:
        self.every_s = every_s
        self._desk = desk
        self._flush_every_s = flush_every_s
        self._flushed_s = -flush_every_s
        self._book_due = book_due

    def tick(self) -> None:
        """Write what is due; raise StoreUnavailable, after everything was tried, when something has to wait."""
        works = [self._book_due]
        now_s = self._desk.clock.monotonic()
        if now_s - self._flushed_s >= self._flush_every_s:
            self._flushed_s = now_s
            works += [self._flush_events, self._desk.store.flush_samples]
        trouble = [error for work in works if (error := _tried(work)) is not None]
        if trouble:
            raise trouble[0]

    def _flush_events(self) -> None:
        desk = self._desk
        desk.board.events.flush(desk.store, holder_among(desk.book.holds(0.0, desk.clock.now())))


def _tried(work: Callable[[], None]) -> StoreUnavailable | None:
    try:
        work()
    except StoreUnavailable as error:
        return error
    return None
