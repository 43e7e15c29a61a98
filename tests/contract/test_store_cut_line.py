"""A PostgreSQL server that goes away in the middle: a commit takes place once, or is refused."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor, JobQuery
from dcdaemon.store import postgresql
from dcdaemon.store.sql_store import SqlStore, open_store
from tests.contract.cut_line import CutLine

ADA = Actor(uid=1001, gid=100, user="ada")
SPEC = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1)


@pytest.fixture
def line(postgresql_url: str) -> Iterator[CutLine]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        line = CutLine(postgresql_url, Path(folder))
        yield line
        line.close()


@pytest.fixture
def store(line: CutLine) -> Iterator[SqlStore]:
    store = open_store(line.client_url, "n1", busy_timeout_s=2)
    store.submit([SPEC], 1.0, ADA)
    yield store
    line.away = False
    store.close()


def names(store: SqlStore) -> list[str]:
    return [job.spec.name for job in store.jobs(JobQuery())]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_whose_line_is_cut_takes_place_once(store: SqlStore, line: CutLine, moment: str) -> None:
    line.cut = moment
    (job,) = store.submit([SPEC], 2.0, ADA)
    assert line.cut is None, "the line was never cut"
    assert [found.id for found in store.jobs(JobQuery())] == [job.id, 1]


def test_nobody_is_told_yes_or_no_when_nobody_knows(
    store: SqlStore, line: CutLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_RESOLVE_S", 0.3)
    line.cut, line.stays_away = "after", True
    with pytest.raises(StoreUnavailable, match="whether it was stored is unknown") as caught:
        store.submit([SPEC], 2.0, ADA)
    assert caught.value.hint == "look with dcd ps before doing it again"
    line.away = False
    assert len(names(store)) == 2, "this one was stored"


def test_a_server_that_restarted_is_met_again_unnoticed(store: SqlStore, line: CutLine) -> None:
    assert len(names(store)) == 1
    line.drop_all()
    assert len(store.submit([SPEC], 2.0, ADA)) == 1
    line.drop_all()
    assert len(names(store)) == 2


def test_a_server_that_is_away_is_told_and_got_over(store: SqlStore, line: CutLine) -> None:
    line.away = True
    line.drop_all()
    with pytest.raises(StoreUnavailable, match="the connection failed") as caught:
        store.submit([SPEC], 2.0, ADA)
    assert caught.value.hint == "start the database server; the daemon connects again by itself"
    with pytest.raises(StoreUnavailable):
        names(store)
    with pytest.raises(StoreUnavailable):
        store.facts()
    line.away = False
    store.submit([SPEC], 3.0, ADA)
    assert len(names(store)) == 2
