"""Fixtures of the migration tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcdaemon.store.sql_store import SqlStore, open_store
from tests.postgres import postgres_url  # noqa: F401  a fixture


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a copy of the module's DATABASE, which an earlier program has written."""
    return Path(shutil.copy(request.module.DATABASE, tmp_path / "dcdaemon.db"))


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    """Open that copy with the program of now."""
    store = open_store(f"sqlite:///{path}", "n1")
    yield store
    store.close()
