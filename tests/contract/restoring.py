"""A life in two pictures on either database: the past, which a backup holds, and the present, which it replaces."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dcdaemon.core.backup import BackupWish, untold
from dcdaemon.store.check import Verdict, check_file, check_server
from dcdaemon.store.postgresql_archive import Archive, sound_schema
from dcdaemon.store.postgresql_file import unpack
from dcdaemon.store.postgresql_restore import restored_server
from dcdaemon.store.postgresql_tools import restorer
from dcdaemon.store.restored import RestoredDatabase, restored_file
from dcdaemon.store.sql_store import SqlStore

Row = tuple[object, ...]


class FileLife:
    """Two SQLite files."""

    dialect = "sqlite"

    def __init__(self, directory: Path, empty_database: Path) -> None:
        self.past, self.present = directory / "past.db", directory / "present.db"
        shutil.copy(empty_database, self.present)
        self.url = f"sqlite:///{self.present}"

    def back_up(self, store: SqlStore) -> None:
        """Keep the picture of this moment."""
        store.backup(self.past)

    @contextlib.contextmanager
    def restoring(self, node: str = "n1") -> Iterator[RestoredDatabase]:
        """Yield the past, which takes the place of the present at the end."""
        with restored_file(self.past, node, self.present) as database:
            yield database
        self.url = f"sqlite:///{self.past}"

    def present_rows(self, query: str) -> list[Row]:
        """Ask the database that is, or was, replaced."""
        with contextlib.closing(sqlite3.connect(self.present)) as raw:
            return [tuple(row) for row in raw.execute(query)]

    def change_present(self, statement: str) -> None:
        """Change it behind the store's back."""
        with contextlib.closing(sqlite3.connect(self.present)) as raw, raw:
            raw.execute(statement)

    def check(self) -> Verdict:
        """Check the database that is in use now."""
        return check_file(Path(self.url.removeprefix("sqlite:///")))


class ServerLife:
    """A database on a server, and the file of its backup."""

    dialect = "postgresql"

    def __init__(self, directory: Path, url: str) -> None:
        self.url, self.file = url, directory / "past.tar"
        self.kept_aside = ""

    def back_up(self, store: SqlStore) -> None:
        """Keep the picture of this moment."""
        store.backup(self.file, BackupWish(force=True))

    @contextlib.contextmanager
    def restoring(self, node: str = "n1") -> Iterator[RestoredDatabase]:
        """Yield the past, which takes the place of the present at the end."""
        with tempfile.TemporaryFile() as held, self.file.open("rb") as file:
            dump = Path(f"/proc/self/fd/{held.fileno()}")
            archive = Archive(held, restorer(unpack(file, dump).tool_major))
            with restored_server(self.url, node, "the backup") as database:
                self.kept_aside = database.kept_aside or ""
                database.fill(archive, sound_schema(archive), untold)
                yield database
                database.finish()

    def present_rows(self, query: str) -> list[Row]:
        """Ask the database that is, or was, replaced."""
        with contextlib.closing(sa.create_engine(self.url, poolclass=sa.NullPool).connect()) as connection:
            if self.kept_aside:
                connection.exec_driver_sql(f"SET search_path TO {self.kept_aside}")
            return [tuple(row) for row in connection.execute(sa.text(query))]

    def change_present(self, statement: str) -> None:
        """Change it behind the store's back."""
        run(self.url, statement)

    def check(self) -> Verdict:
        """Check the database that is in use now."""
        return check_server(self.url)[1]


Life = FileLife | ServerLife


def run(url: str, *statements: str) -> None:
    """Run statements on a server, all or none."""
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def ask(url: str, query: str) -> list[Row]:
    """Ask a server."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def put_away(url: str) -> None:
    """Drop all that restores have kept aside."""
    for (name,) in ask(url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before!_restore!_%%' ESCAPE '!'"):
        run(url, f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    """An empty database, on each of the two."""
    if request.param == "sqlite":
        yield FileLife(tmp_path, request.getfixturevalue("empty_sqlite"))
        return
    url = request.getfixturevalue("postgresql_url")
    yield ServerLife(tmp_path, url)
    put_away(url)


@pytest.fixture
def server_life(postgresql_url: str, tmp_path: Path) -> Iterator[ServerLife]:
    """An empty database on a server."""
    yield ServerLife(tmp_path, postgresql_url)
    put_away(postgresql_url)
