"""A PostgreSQL database with the rows of a backup, before the transaction ends in which it takes its place."""

import time
from collections.abc import Iterator
from itertools import count

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.audit import Change
from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import Refused
from dcdaemon.core.job import JobState
from dcdaemon.core.ports import Actor
from dcdaemon.store.carry_over import Carried, carry_over
from dcdaemon.store.check import broken_rules
from dcdaemon.store.own_tables import OWN_TABLES, VERSION_TABLE
from dcdaemon.store.postgresql_archive import Archive
from dcdaemon.store.postgresql_aside import grant_as_before, last_ids, lock, own_tables, quoted, set_aside, warnings_of
from dcdaemon.store.restored import RestoredDatabase
from dcdaemon.store.revision import HEAD, stored_revision
from dcdaemon.store.schema import job

_NUMBER_ON = text("SELECT setval(CAST(pg_get_serial_sequence(:table, 'id') AS regclass), :last)")
#: What PostgreSQL says of pages that it cannot read, and of a disk that fails.
_DAMAGE = ("XX", "58")


class RestoredServer(RestoredDatabase):
    """A database on a server with the rows of a backup; the present one is kept aside in a schema of its own."""

    def __init__(self, connection: Connection, node: str, home: str) -> None:
        """Move the present one aside, whose tables nobody uses from now on until the end."""
        super().__init__(connection, node)
        self._home = home
        self._present = stored_revision(connection)
        tables = own_tables(connection, home, self._present)
        lock(connection, home, tables)
        self._last_ids = last_ids(connection, home)
        self._carried = False
        #: The schema in which the database of before is now.
        self.kept_aside = set_aside(connection, home, tables)

    def fill(self, archive: Archive, schema: str, progress: Progress) -> None:
        """Build the tables as the backup had them, with its rows, and bring them to this program's schema."""
        from dcdaemon.store.migrate import build_within, migrate_within  # noqa: PLC0415  Alembic takes its time

        others = self._tables()
        build_within(self._connection, schema)
        _refuse_other_tables(self._tables() - others, set(archive.tables))
        done = count(1)

        def take(table: str, columns: tuple[str, ...], rows: Iterator[bytes]) -> None:
            _copy(self._connection, Identifier(self._home, table), columns, rows)
            progress("restoring", next(done), len(archive.tables) - 1)

        last = archive.read(set(archive.tables) - {VERSION_TABLE}, take)
        for table, given in last.items():
            self._last_ids[table] = max(given, self._last_ids.get(table, 0))
        if schema != HEAD:
            migrate_within(self._connection)

    def carry_over(self) -> Carried:
        """Take along what the past may not undo from the present database, nothing where it cannot be read."""
        carried = self._carry_over()
        self._carried = carried is not None
        self._number_on()
        return carried or Carried()

    def _carry_over(self) -> Carried | None:
        if self.kept_aside is None or self._present != HEAD:
            return None
        try:
            with self._connection.begin_nested():
                return carry_over(self._connection, self.kept_aside)
        except DBAPIError as error:
            if not str(getattr(error.orig, "sqlstate", None) or "").startswith(_DAMAGE):
                raise
            return None

    def hold_others(self, actor: Actor) -> tuple[str, ...]:
        """Hold the waiting jobs of other nodes where nothing tells whether they have begun since; return a warning."""
        if self._carried:
            return ()
        waiting = select(job.c.id).where(job.c.state == JobState.WAITING, job.c.node != self._node, ~job.c.held)
        ids = list(self._connection.execute(waiting.order_by(job.c.id)).scalars())
        if not ids:
            return ()
        self._connection.execute(update(job).where(job.c.id.in_(waiting)).values(held=True, version=job.c.version + 1))
        for job_id in ids:
            self.note(Change("restore", f"job {job_id}", job_id), time.time(), actor)
        held = f"jobs of other nodes wait, and may have run since: they are held: {', '.join(map(str, ids))}"
        return (f"{held}; look at the output of each on its node, then dcd release or dcd cancel it",)

    def finish(self) -> tuple[str, ...]:
        """Let everybody read who could before; return what is worth a warning."""
        wrong = [violation.message for violation in broken_rules(self._connection)]
        if self.kept_aside is not None:
            grant_as_before(self._connection, self._home, self.kept_aside)
            wrong += warnings_of(self._connection, self.kept_aside)
        return tuple(wrong)

    def _number_on(self) -> None:
        """Have each table go on behind the last id that it has given out, in the backup or since."""
        for table in OWN_TABLES.values():
            if table.autoincrement_column is None:
                continue
            newest = self._connection.execute(select(func.max(table.autoincrement_column))).scalar() or 0
            last = max(newest, self._last_ids.get(table.name, 0))
            if last:
                named = f"{quoted(self._connection, self._home)}.{quoted(self._connection, table.name)}"
                self._connection.execute(_NUMBER_ON, {"table": named, "last": last})

    def _tables(self) -> set[str]:
        return set(inspect(self._connection).get_table_names(schema=self._home))


def _refuse_other_tables(ours: set[str], theirs: set[str]) -> None:
    """Refuse a backup that lacks a table, or has one that is none of ours."""
    if missing := sorted(ours - theirs):
        raise Refused(f"it is damaged: it has no table {missing[0]}", "nothing was changed; use another backup")
    if others := sorted(theirs - ours):
        raise Refused(f"it has a table {others[0]}, which its schema does not", "nothing was changed")


def _copy(connection: Connection, table: Identifier, columns: tuple[str, ...], rows: Iterator[bytes]) -> None:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101  narrows the type
    statement = SQL("COPY {} ({}) FROM STDIN").format(table, SQL(", ").join(map(Identifier, columns)))
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for block in rows:
                copy.write(block)
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        said = " ".join(str(error).split())
        raise Refused(f"the database refuses its rows: {said}", "nothing was changed; use another backup") from error
