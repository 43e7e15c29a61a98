"""A backup takes the place of a PostgreSQL database: in one transaction, while nobody else is there, or not at all."""

import contextlib
import time
from collections.abc import Iterator

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.errors import Refused, StoreUnavailable
from dcdaemon.store.faults import is_disconnect, unavailable
from dcdaemon.store.own_tables import VERSION_TABLE
from dcdaemon.store.postgresql import MIGRATION_LOCK, PostgresqlDatabase
from dcdaemon.store.postgresql_aside import quoted
from dcdaemon.store.postgresql_backup import HOME
from dcdaemon.store.postgresql_restored import RestoredServer

#: Whoever calls itself so is a daemon, or a command at work on the database; of the statistics only one picture is
#: taken in a transaction, unless it is thrown away.
_OTHERS = text(
    "SELECT pid, host(client_addr) AS host FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'dcdaemon' AND pid <> pg_backend_pid() ORDER BY pid"
)
#: How long the connections of a daemon that was just stopped may take to go.
_GOING_S = 3.0
_AS_WE_NEED_IT = (
    "SET LOCAL application_name = 'dcd db restore'",
    "SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL client_encoding = 'UTF8'",
)  # fmt: skip


@contextlib.contextmanager
def restored_server(url: str, node: str, backup: str) -> Iterator[RestoredServer]:
    """Yield the database with the present one moved aside, and commit at the end: whatever fails, nothing has changed.

    Raise Refused while others use it, and for rows that do not belong into it; StoreUnavailable, which names the backup
    when nobody knows whether it is in place.
    """
    database = PostgresqlDatabase(url, busy_timeout_s=5.0)
    try:
        with database.connect(durable=True) as connection:
            for statement in _AS_WE_NEED_IT:
                connection.exec_driver_sql(statement)
            _refuse_others(connection, database.name, wait_s=_GOING_S)
            home = _home(connection)
            connection.exec_driver_sql(f"SET LOCAL search_path TO {quoted(connection, home)}")
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            yield RestoredServer(connection, node, home)
            _refuse_others(connection, database.name)
            _commit(database, connection, backup)
    except (DBAPIError, psycopg.Error) as error:
        raise _told(error, database.name) from error
    finally:
        database.close()


def _home(connection: Connection) -> str:
    """Return the schema in which our tables are, or are made."""
    found = connection.execute(HOME, {"table": VERSION_TABLE}).scalar_one_or_none()
    return str(found or connection.execute(text("SELECT current_schema()")).scalar_one())


def _refuse_others(connection: Connection, name: str, wait_s: float = 0.0) -> None:
    deadline = time.monotonic() + wait_s
    while others := _others(connection):
        if time.monotonic() >= deadline:
            users = ", ".join(f"process {pid} of the server{f' for {host}' if host else ''}" for pid, host in others)
            hint = (
                "stop the daemon of every node: systemctl stop dcdaemon; its jobs go on. What a lost node has left is "
                f"ended with SELECT pg_terminate_backend({others[0][0]})"
            )
            raise Refused(f"the database {name} is in use by daemons or other commands: {users}", hint)
        time.sleep(0.05)


def _others(connection: Connection) -> list[tuple[int, str | None]]:
    connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    return [(row.pid, row.host) for row in connection.execute(_OTHERS)]


def _commit(database: PostgresqlDatabase, connection: Connection, backup: str) -> None:
    """Commit; where the answer is lost, find out what became of it."""
    receipt = str(database.receipt(connection))
    try:
        connection.commit()
    except DBAPIError as error:
        if not is_disconnect(error):
            raise
        try:
            committed = database.committed(receipt)
        except StoreUnavailable as unknown:
            message = f"whether {backup} is restored is unknown: the database {database.name} went away at the very end"
            raise StoreUnavailable(message, "all of it is, or nothing: dcd db check, and dcd ps, tell") from unknown
        if not committed:
            raise


def _told(error: DBAPIError | psycopg.Error, name: str) -> Exception:
    known = unavailable(error, name)
    if known is not None:
        return known
    said = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
    return StoreUnavailable(f"the database {name}: {said}", "nothing was changed; look at the log of the server")
