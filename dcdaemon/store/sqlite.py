"""SQLite: one file in WAL mode, written by one connection at a time."""

import contextlib
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.engine import make_url

from dcdaemon.core.backup import BackupMade, BackupWish
from dcdaemon.core.errors import BadConfig, StoreUnavailable
from dcdaemon.store.backup import back_up
from dcdaemon.store.faults import unavailable
from dcdaemon.store.lifeline import Lifeline, refuse_to_begin_anew

#: A log longer than this is copied back while writers wait, so that it cannot grow for ever.
_LONG_WAL_BYTES = 64 * 1024 * 1024
#: Copying the log costs more than writing a sweep of samples does, and waits for the disk.
_COPY_EVERY_S = 60.0
#: What `PRAGMA auto_vacuum` answers for INCREMENTAL.
_INCREMENTAL = 2


class SqliteDatabase:
    """A database file; created with mode 0640 when it is missing, never created again once it is open."""

    dialect = "sqlite"

    def __init__(self, url: str, busy_timeout_s: float) -> None:
        self.path = _path_of(url)
        self.name = str(self.path)
        self._busy_timeout_s = busy_timeout_s
        self._copied_s = 0.0
        self._file = _identity(_created(self.path))
        self._lifeline = Lifeline(self.path, self._open)
        self.reader = create_engine(
            "sqlite://",
            creator=self._open_to_read,
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=-1,
        )
        self._writer = _transactional(create_engine("sqlite://", creator=self._open, poolclass=NullPool))

    def connect(self, *, durable: bool) -> Connection:
        """Open a connection for writing; a durable one waits for the disk at each commit."""
        connection = self._writer.connect()
        level = "FULL" if durable else "NORMAL"
        _raw(connection).execute(f"PRAGMA synchronous={level}")
        return connection

    def turns(self) -> tuple[threading.Lock, threading.Lock]:
        """Return one lock twice: writers that meet inside SQLite would sleep instead of queueing."""
        turn = threading.Lock()
        return turn, turn

    def check(self) -> None:
        """Refuse to write into a file that was deleted or replaced: it would be lost. What it held is saved first."""
        if _identity(self.path) == self._file and self._lifeline.log_is_there():
            self._lifeline.forget()
            return
        saved = self._lifeline.save()
        message = (
            f"the database {self.name} was removed or replaced while in use; {saved or 'its copy is not made yet'}"
        )
        raise StoreUnavailable(message, self._lifeline.hint)

    def receipt(self, connection: Connection) -> None:
        """Return None: a commit that fails here has not taken place."""

    def committed(self, receipt: str) -> bool:  # noqa: ARG002  there are no receipts here
        """Return False: a commit that fails here has not taken place."""
        return False

    def checkpoint(self, turn: threading.Lock) -> None:
        """Copy the log back into the file, now and then; writers go on meanwhile unless the log has grown long."""
        long = self._wal_bytes() > _LONG_WAL_BYTES
        if not long and time.monotonic() - self._copied_s < _COPY_EVERY_S:
            return
        try:
            with turn if long else contextlib.nullcontext(), closing(self._open()) as raw:
                raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise unavailable(error, self.name) or error from error
        self._copied_s = time.monotonic()

    def backup(self, path: Path, wish: BackupWish) -> BackupMade:
        """Write a consistent copy to a new file, which appears under its name only when it is complete."""
        return back_up(self._open, self.path, path, wish)

    def size_bytes(self) -> int | None:
        """Return the size of the file and of its log."""
        try:
            return self.path.stat().st_size + self._wal_bytes()
        except OSError:
            return None

    def close(self) -> None:
        """Close the connections for reading; the last one to close folds the log into the file."""
        self.reader.dispose()
        self._writer.dispose()
        self._lifeline.close()

    def _open_to_read(self) -> sqlite3.Connection:
        # Half of the answers from another file would be worse than none.
        self.check()
        return self._open("PRAGMA query_only=ON")

    def _wal_bytes(self) -> int:
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except OSError:
            return 0

    def _open(self, *pragmas: str) -> sqlite3.Connection:
        raw = sqlite3.connect(
            f"file:{quote(self.name)}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,  # transactions begin where we say so
            check_same_thread=False,  # used by one thread at a time, not by one thread only
        )
        # It counts only before the first table, and setting it again would be a write with each connection.
        if raw.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            raw.execute("PRAGMA auto_vacuum=INCREMENTAL")
        # The log is copied back by checkpoint() alone.
        for pragma in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA foreign_keys=ON",
            "PRAGMA wal_autocheckpoint=0",
            f"PRAGMA journal_size_limit={_LONG_WAL_BYTES}",
            *pragmas,
        ):
            raw.execute(pragma)
        return raw


def _transactional(engine: Engine) -> Engine:
    """Take the write lock at the start: a transaction that read first could not get it later."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # not on the raw connection: errors come wrapped

    return engine


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  narrows the type
    return raw


def _path_of(url: str) -> Path:
    database = make_url(url).database
    if not database or not database.startswith("/"):
        msg = "[storage] url names no absolute path"
        raise BadConfig(msg, "write it with four slashes: sqlite:////var/lib/dcdaemon/dcdaemon.db")
    return Path(database)


def _created(path: Path) -> Path:
    refuse_to_begin_anew(path)
    # Never open a file that exists: closing it again would drop the locks that SQLite holds in this process.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    except FileExistsError:
        return path
    except OSError as error:
        msg = f"the database {path} cannot be opened: {error.strerror}"
        raise StoreUnavailable(msg, "check that its directory exists and that you may write there") from error
    return path


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
