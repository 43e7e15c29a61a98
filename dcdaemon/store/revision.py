"""Bring the database to the schema this program knows; Alembic itself never loads in the daemon."""

import subprocess
import sys

from sqlalchemy import Connection, inspect, text

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.store.database import Database

#: Every schema this program can start from, oldest first; the last one is its own.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]
_MIGRATION_S = 3600.0


def stored_revision(connection: Connection) -> str | None:
    """Return the schema the database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def pending(database: Database) -> tuple[str | None, tuple[str, ...]]:
    """Return the schema of a database and those it would be brought through; raise StoreUnavailable for a newer one."""
    with database.reader.connect() as connection:
        stored = stored_revision(connection)
    if stored is None:
        return None, REVISIONS
    if stored not in REVISIONS:
        msg = f"the database {database.name} has schema {stored}, this program knows {HEAD} and older"
        raise StoreUnavailable(msg, "it was written by a newer version: install that one")
    return stored, REVISIONS[REVISIONS.index(stored) + 1 :]


def bring_up_to_date(database: Database, url: str) -> None:
    """Migrate in a child process where needed; raise StoreUnavailable when that cannot be done."""
    if not pending(database)[1]:
        return
    # The URL may carry a password, and arguments are seen by every user of the machine.
    command = [sys.executable, "-m", "dcdaemon.store.migrate", "-"]
    try:
        child = subprocess.run(command, input=url, capture_output=True, text=True, timeout=_MIGRATION_S, check=False)
    except OSError as error:
        msg = f"the database {database.name} cannot be brought to schema {HEAD}: {error.strerror}: {sys.executable}"
        raise StoreUnavailable(msg, "nothing was changed; install the program where its user can run it") from error
    if child.returncode != 0:
        said = child.stderr.strip().splitlines() or ["no message"]
        msg = f"the database {database.name} cannot be brought to schema {HEAD}: {said[-1]}"
        raise StoreUnavailable(msg, "nothing was changed; python -m dcdaemon.store.migrate URL shows the whole story")
