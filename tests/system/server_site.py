"""A site whose database is on a PostgreSQL server, and ways to look into that and to break it."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from contract.emptying import empty
from system.daemon_process import Site
from system.database_trouble import Server

from dcdaemon.store.check import check_server
from dcdaemon.store.sql_store import open_store

_ASIDE = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before!_restore!_%%' ESCAPE '!' ORDER BY nspname"


class DatabaseOfSite:
    """What a test asks of a SQLite site's database, whatever the daemon does."""

    name = "sqlite"
    backup = "copy.db"

    def __init__(self, site: Site) -> None:
        self.site = site

    def kept_aside(self) -> list[str]:
        """Name what restores have kept."""
        return [str(path) for path in sorted(self.site.state_dir.glob("dcdaemon.db.before-restore-*"))]

    def kept_states(self, kept: str) -> list[str]:
        """Return the states of jobs in the database of before."""
        with contextlib.closing(sa.create_engine(f"sqlite:///{kept}", poolclass=sa.NullPool).connect()) as connection:
            return list(connection.execute(sa.text("SELECT state FROM job")).scalars())

    def damage(self) -> None:
        """Make it unreadable, while no daemon runs."""
        damaged = self.site.state_dir / "dcdaemon.db"
        damaged.write_bytes(b"\0" * damaged.stat().st_size)


class DatabaseOnServer(DatabaseOfSite):
    """The same of a database on a server."""

    name = "postgresql"
    backup = "copy.tar"

    def __init__(self, site: "ServerSite", server: Server) -> None:
        super().__init__(site)
        self._server = server

    def kept_aside(self) -> list[str]:
        return [name for (name,) in self.site.query(_ASIDE)]

    def kept_states(self, kept: str) -> list[str]:
        return [state for (state,) in self.site.query(f"SELECT state FROM {kept}.job")]  # noqa: S608  a name of ours

    def damage(self) -> None:
        [(file,)] = self.site.query("SELECT pg_relation_filepath('job')")
        self._server.stop()
        path = Path(self._server.data, file)
        with path.open("r+b") as heap:
            heap.write(b"\xff" * min(8192, path.stat().st_size))
        self._server.start()


class ServerSite(Site):
    """A site whose daemons keep everything but files on a server."""

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the server."""
        with sa.create_engine(self.env["DCD_STORAGE__URL"], poolclass=sa.NullPool).connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def judge_resources(self) -> None:
        """Check that nothing is held any more and the ledger adds up."""
        assert self.query("SELECT * FROM allocation") == []
        assert check_server(self.env["DCD_STORAGE__URL"])[1].violations == ()


@pytest.fixture(scope="module")
def server_for_sites() -> Iterator[Server]:
    """A server of our own, which may be stopped and damaged."""
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[DatabaseOfSite]:
    """The database of a site with a daemon that answers, on each of the two."""
    if request.param == "sqlite":
        yield DatabaseOfSite(request.getfixturevalue("site"))
        return
    server = request.getfixturevalue("server_for_sites")
    open_store(server.url, "n1").close()
    empty(server.url)
    site = ServerSite(request.getfixturevalue("nursery"), None, DCD_STORAGE__URL=server.url)
    with contextlib.closing(site):
        site.start()
        yield DatabaseOnServer(site, server)
        site.end(signal.SIGKILL)
        for (name,) in site.query(_ASIDE):
            with sa.create_engine(server.url, poolclass=sa.NullPool).begin() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
