"""Short reads, each on a connection of its own: they wait for nobody who writes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dcdaemon.store.database import Database
from dcdaemon.store.faults import unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadLane:
    """Reads of one database, from any thread."""

    database: Database

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run the work on a connection and return its answer; raise StoreUnavailable when the database gives none."""
        try:
            with self.database.reader.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise unavailable(error, self.database.name) or error from error
