"""The stores of the contract suite: one in memory, one on SQLite, one on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcdaemon.core.ports import Store
from dcdaemon.fakes.store import MemoryStore
from dcdaemon.store.sql_store import open_store
from tests.contract.emptying import empty
from tests.postgres import postgres_url  # noqa: F401  a fixture

NODE = "n1"


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate once: copies of the file are quicker than a child process for every test."""
    path = tmp_path_factory.mktemp("empty") / "dcdaemon.db"
    open_store(f"sqlite:///{path}", NODE).close()
    return path


@pytest.fixture
def sqlite_url(empty_sqlite: Path, tmp_path: Path) -> str:
    path = tmp_path / "dcdaemon.db"
    shutil.copy(empty_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgres_url: str) -> str:  # noqa: F811  that is how a fixture is asked for
    open_store(postgres_url, NODE).close()
    empty(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    chosen: str = request.getfixturevalue(f"{request.param}_url")
    return chosen


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(NODE)
        return
    opened = open_store(request.getfixturevalue(f"{request.param}_url"), NODE)
    yield opened
    opened.close()
