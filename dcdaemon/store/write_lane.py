"""Group commit: whoever gets the turn writes what all others have queued meanwhile, and commits once."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.store.database import Database
from dcdaemon.store.faults import is_disconnect, unavailable

T = TypeVar("T")
Work = Callable[[Connection], T]


@dataclass(slots=True, eq=False)
class _Entry:
    work: Work[Any]
    answer: Any = None
    error: BaseException | None = None
    done: bool = False


@dataclass(slots=True)
class WriteLane:
    """One connection for writing, shared by all threads; each piece of work is answered after its commit.

    Work is a function of the connection alone: it may run again when the first try left nothing behind.
    """

    database: Database
    turn: threading.Lock
    durable: bool
    _waiting: deque[_Entry] = field(default_factory=deque)
    _connection: Connection | None = None

    def run(self, work: Work[T]) -> T:
        """Run the work in a transaction and return its answer once that is committed.

        Raise StoreUnavailable when the database takes no writes, and whatever the work itself raised.
        """
        entry = _Entry(work)
        self._waiting.append(entry)
        with self.turn:
            if not entry.done:
                self._write([self._waiting.popleft() for _ in range(len(self._waiting))])
        if entry.error is not None:
            raise entry.error
        answer: T = entry.answer
        return answer

    def close(self) -> None:
        """Close the connection once nobody writes."""
        with self.turn:
            self._drop()

    def _write(self, batch: Sequence[_Entry]) -> None:
        try:
            answers = self._transact([entry.work for entry in batch])
        except StoreUnavailable as error:
            for entry in batch:  # each thread gets its own: a shared exception would mix their tracebacks
                entry.error, entry.done = StoreUnavailable(error.message, error.hint), True
        except Exception as error:  # noqa: BLE001  raised again in the thread that asked
            self._write_apart(batch, error)
        except BaseException:
            for entry in batch:
                entry.error, entry.done = StoreUnavailable("the daemon is being stopped"), True
            raise
        else:
            for entry, answer in zip(batch, answers, strict=True):
                entry.answer, entry.done = answer, True

    def _write_apart(self, batch: Sequence[_Entry], error: Exception) -> None:
        """One piece of work failed and took back the whole batch: give each its own transaction."""
        if len(batch) == 1:
            batch[0].error, batch[0].done = error, True
            return
        for entry in batch:
            self._write([entry])

    def _transact(self, works: Sequence[Work[Any]]) -> list[Any]:
        for fresh in (self._connection is None, True):
            try:
                return self._attempt(works)
            except DBAPIError as error:
                # A server that restarted while nobody wrote is met again here, without bothering anyone.
                if is_disconnect(error) and not fresh:
                    continue
                raise unavailable(error, self.database.name) or error from error
        raise AssertionError  # the second try is fresh

    def _attempt(self, works: Sequence[Work[Any]]) -> list[Any]:
        self.database.check()
        if self._connection is None:
            self._connection = self.database.connect(durable=self.durable)
        try:
            transaction = self._connection.begin()
            answers = [work(self._connection) for work in works]
            receipt = self.database.receipt(self._connection)
        except BaseException:
            self._drop()  # closing takes everything back
            raise
        self._commit(transaction, receipt)
        return answers

    def _commit(self, transaction: RootTransaction, receipt: str | None) -> None:
        try:
            transaction.commit()
        except DBAPIError:
            self._drop()
            if receipt is None or not self.database.committed(receipt):
                raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(DBAPIError):
                connection.close()
