"""What the store asks of a database server or file, whichever it is."""

import threading
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from dcdaemon.core.backup import BackupMade, BackupWish
from dcdaemon.core.errors import BadConfig
from dcdaemon.core.secrecy import mask_text
from dcdaemon.store.postgresql import PostgresqlDatabase
from dcdaemon.store.sqlite import SqliteDatabase


class Database(Protocol):
    """One database: how to reach it, and how to tell whether a commit took place."""

    name: str
    dialect: str
    reader: Engine

    def connect(self, *, durable: bool) -> Connection:
        """Open a connection for writing; not durable means that a power cut may take the last seconds."""
        ...

    def turns(self) -> tuple[threading.Lock, threading.Lock]:
        """Return the locks of ledger and samples; the same lock where only one may write at a time."""
        ...

    def check(self) -> None:
        """Raise StoreUnavailable when writing would go to the wrong place."""
        ...

    def receipt(self, connection: Connection) -> str | None:
        """Return a name for the open transaction by which its fate can be asked later, if there is one."""
        ...

    def committed(self, receipt: str) -> bool:
        """Tell whether that transaction was committed; raise StoreUnavailable when it cannot be found out."""
        ...

    def checkpoint(self, turn: threading.Lock) -> None:
        """Do the housekeeping that must not fall on a writer."""
        ...

    def backup(self, path: Path, wish: BackupWish) -> BackupMade:
        """Write a consistent copy to a new file while work goes on."""
        ...

    def size_bytes(self) -> int | None:
        """Return how much room the database takes."""
        ...

    def close(self) -> None:
        """Close the connections for reading."""
        ...


def choose_database(url: str, busy_timeout_s: float = 5.0) -> Database:
    """Return the database behind the URL, not yet connected; raise BadConfig for a URL that names none."""
    backend = _backend(url)
    if backend == "sqlite":
        return SqliteDatabase(url, busy_timeout_s)
    if backend == "postgresql":
        return PostgresqlDatabase(url, busy_timeout_s)
    msg = "[storage] url does not name a database this program knows"
    raise BadConfig(msg, "write sqlite:////path/dcdaemon.db or postgresql+psycopg://user@host/name")


def name_of(url: str) -> str:
    """Return the URL as people may see it, without secrets."""
    return mask_text(make_url(url).render_as_string(hide_password=True)) if _backend(url) else mask_text(url)


def _backend(url: str) -> str:
    """Return which database the URL is for; nothing where it is none."""
    try:
        return make_url(url).get_backend_name()
    except (ArgumentError, ValueError):  # as for a port that is no number
        return ""
