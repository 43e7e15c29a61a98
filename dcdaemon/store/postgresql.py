"""PostgreSQL: a server that may restart under us; whether a lost commit took place can be asked of it."""

import logging
import threading
import time
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.backup import BackupMade, BackupWish
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.secrecy import mask_text

# It would tell of each lost connection a second time, in words that help nobody.
logging.getLogger("psycopg").setLevel(logging.ERROR)
#: Held while tables are made or exchanged; any number will do, as long as all daemons of one server use the same.
MIGRATION_LOCK = 7717
#: How long a commit whose answer was lost is asked after before its callers are told that nobody knows.
_RESOLVE_S = 10.0
_RECEIPT = text("SELECT CAST(pg_current_xact_id() AS text)")
_FATE = text("SELECT pg_xact_status(CAST(:receipt AS xid8))")


class PostgresqlDatabase:
    """A database on a PostgreSQL server, version 13 or later."""

    dialect = "postgresql"

    def __init__(self, url: str, busy_timeout_s: float) -> None:
        parsed = make_url(url)
        self._url = url
        # A password may stand among the options, too.
        self.name = mask_text(parsed.render_as_string(hide_password=True))
        target = parsed.set(drivername="postgresql+psycopg")
        options = {
            "connect_timeout": max(2, round(busy_timeout_s)),
            "application_name": "dcdaemon",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            # A server that vanishes with our question on its way is given up as soon as one that was silent before.
            "tcp_user_timeout": 11_000,
        }
        self.reader = create_engine(
            target,
            connect_args=options,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
            pool_size=4,
            max_overflow=12,
        )
        self._lock_timeout_ms = round(busy_timeout_s * 1000)
        self._writer = create_engine(target, connect_args=options, poolclass=NullPool)

    def connect(self, *, durable: bool) -> Connection:
        """Open a connection for writing; a durable one waits for the server's disk at each commit."""
        connection = self._writer.connect()
        level = "on" if durable else "off"
        # Behind a table that another program has locked we wait no longer than behind a SQLite file.
        connection.exec_driver_sql(f"SET synchronous_commit = {level}; SET lock_timeout = {self._lock_timeout_ms}")
        connection.commit()
        return connection

    def turns(self) -> tuple[threading.Lock, threading.Lock]:
        """Return two locks: the server lets ledger and samples be written side by side."""
        return threading.Lock(), threading.Lock()

    def check(self) -> None:
        """Do nothing: the server knows its files."""

    def receipt(self, connection: Connection) -> str | None:
        """Return the id of the open transaction."""
        return str(connection.execute(_RECEIPT).scalar_one())

    def committed(self, receipt: str) -> bool:
        """Ask the server, which may have to come back first; raise StoreUnavailable when it does not."""
        deadline = time.monotonic() + _RESOLVE_S
        while time.monotonic() < deadline:
            fate = self._fate(receipt)
            if fate in ("committed", "aborted"):
                return fate == "committed"
            time.sleep(0.1)
        msg = f"the database {self.name} went away during a commit; whether it was stored is unknown"
        raise StoreUnavailable(msg, "look with dcd ps before doing it again")

    def checkpoint(self, turn: threading.Lock) -> None:
        """Do nothing: the server checkpoints by itself."""

    def backup(self, path: Path, wish: BackupWish) -> BackupMade:
        """Have pg_dump write a consistent copy, which appears under its name only when it is complete."""
        from dcdaemon.store.postgresql_backup import back_up  # noqa: PLC0415  a daemon needs it once a day at most

        return back_up(self.reader, self._url, path, wish)

    def size_bytes(self) -> int | None:
        """Return the size of the whole database on the server."""
        with self.reader.connect() as connection:
            size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        return int(size)

    def close(self) -> None:
        """Close the connections for reading."""
        self.reader.dispose()
        self._writer.dispose()

    def _fate(self, receipt: str) -> str | None:
        try:
            with self.reader.connect() as connection:
                fate = connection.execute(_FATE, {"receipt": receipt}).scalar_one_or_none()
        except DBAPIError:
            return None
        return str(fate)
