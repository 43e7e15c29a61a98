"""A database that was restored and that no daemon uses yet: what went on since is brought in, in one transaction."""

import contextlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine, delete, func, insert, select
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.audit import Change
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor, JobQuery
from dcdaemon.store import jobs
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.backup import FACTS
from dcdaemon.store.carry_over import PRESENT, Carried, allocate, carry_over
from dcdaemon.store.check import given_ids
from dcdaemon.store.job_rows import row_of
from dcdaemon.store.schema import allocation, gpu_share, job


class RestoredDatabase(ABC):
    """The restored database; its present one is beside it, in a schema of its own, where it can be read."""

    def __init__(self, connection: Connection, node: str) -> None:
        """Take a connection in a transaction, whose end is its maker's."""
        self._connection = connection
        self._node = node

    @abstractmethod
    def carry_over(self) -> Carried:
        """Take along what the past may not undo from the present database, nothing where it cannot be read."""

    def known_jobs(self) -> dict[int, Job]:
        """Return this node's jobs."""
        return {one.id: one for one in jobs.find(self._connection, JobQuery()) if one.node == self._node}

    def put(self, some: Iterable[Job]) -> None:
        """Write whole jobs, new or not, and who holds which GPU then."""
        rows = [{"id": one.id, **row_of(one)} for one in some]
        for table in (allocation, gpu_share):
            self._connection.execute(delete(table))
        for row in rows:
            self._connection.execute(delete(job).where(job.c.id == row["id"]))
            self._connection.execute(insert(job), row)
        allocate(self._connection)

    def reserve_ids(self, up_to: int) -> None:
        """Never give out an id up to this one to a new job."""
        if up_to > 0:
            jobs.reserve_ids(self._connection, up_to)

    def note(self, change: Change, at: float, actor: Actor) -> None:
        """Add a row to the audit."""
        add_audit(self._connection, [audit_row(self._node, at, actor, change)])

    def count_jobs(self) -> int:
        """Return how many jobs there are, of all nodes."""
        return int(self._connection.execute(select(func.count()).select_from(job)).scalar_one())


class RestoredFile(RestoredDatabase):
    """A SQLite database; the present one is attached to it, if there is one that can be read."""

    def __init__(self, connection: Connection, node: str, *, attached: bool) -> None:
        """Take a connection in a transaction, whose end is its maker's."""
        super().__init__(connection, node)
        self._attached = attached

    def carry_over(self) -> Carried:
        """Take along what the past may not undo from the present database, if it is there."""
        if not self._attached:
            return Carried()
        carried = carry_over(self._connection)
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101  narrows the type
        self.reserve_ids(given_ids(raw, PRESENT))
        return carried


@contextlib.contextmanager
def restored_file(path: Path, node: str, present: Path | None) -> Iterator[RestoredFile]:
    """Yield a SQLite database of this program's schema, with the present one where that is to be read.

    Raise sqlite3.Error; nothing has changed in it then.
    """
    engine = create_engine("sqlite://", creator=lambda: _opened(path, present), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield RestoredFile(connection, node, attached=present is not None)
            connection.commit()
    except DBAPIError as error:
        raise error.orig or error from error


def _opened(path: Path, present: Path | None) -> sqlite3.Connection:
    raw = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)
    if present is not None:
        raw.execute(f"ATTACH DATABASE ? AS {PRESENT}", (f"file:{quote(str(present))}?mode=ro",))
    return raw


def forget_backup(database: sqlite3.Connection) -> None:
    """Take out what only a backup has."""
    database.execute(f"DROP TABLE IF EXISTS {FACTS}")
