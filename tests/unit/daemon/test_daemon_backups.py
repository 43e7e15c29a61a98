"""The backup of each day, by its name and its number."""

from pathlib import Path

import pytest

from dcdaemon.config.model import Storage
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor
from dcdaemon.daemon.backups import DailyBackup
from dcdaemon.store.check import check_file
from dcdaemon.store.seal import is_sealed, make_key
from dcdaemon.store.sql_store import SqlStore, open_store

DAY_S = 86400.0
NOON = 1_760_000_000.0
ADA = Actor(uid=1001, gid=100, user="ada")


@pytest.fixture
def store(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/state/dcdaemon.db", "n/1")
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _places(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "backup").mkdir()


def daily(store: SqlStore, tmp_path: Path, told: list[Event] | None = None, **settings: object) -> DailyBackup:
    storage = Storage(backup_dir=str(tmp_path / "backup"), **settings)
    return DailyBackup(store, storage, "n/1", tmp_path / "state" / "env", [].append if told is None else told.append)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "backup").iterdir())


def test_so_many_days_are_kept_and_nothing_else_is_touched(store, tmp_path):
    for other in ("dcdaemon-Mon.db", "dcdaemon-n2-2025-01-01.db", "dcdaemon-n%2F1-2025-01-01.db.part", "notes"):
        (tmp_path / "backup" / other).write_text("precious")
    made = daily(store, tmp_path, backup_keep=2)
    days = [made.make(NOON + day * DAY_S).name for day in range(4)]
    assert days[0].startswith("dcdaemon-n%2F1-2025-10-0")
    assert [name for name in names(tmp_path) if name in days] == days[2:]
    assert len(names(tmp_path)) == 6


def test_a_second_one_of_a_day_replaces_the_first(store, tmp_path):
    made = daily(store, tmp_path, backup_keep=0)
    first = made.make(NOON)
    store.submit([JobSpec(("x",), "/", 1, 1, "u", "x", "e")], 1.0, ADA)
    assert made.make(NOON + 60) == first
    assert names(tmp_path) == [first.name]
    assert check_file(first).ok


def test_it_is_encrypted_where_a_key_is_named(store, tmp_path):
    key = tmp_path / "key"
    make_key(key)
    made = daily(store, tmp_path, backup_key_file=str(key)).make(NOON)
    assert made.name.endswith(".db.age")
    assert is_sealed(made)


def test_a_place_that_is_gone_is_told_and_the_old_ones_stay(store, tmp_path):
    made = daily(store, tmp_path, backup_keep=1)
    first = made.make(NOON)
    (tmp_path / "backup").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="no backup in"):
        made.make(NOON + DAY_S)
    assert (tmp_path / "elsewhere" / first.name).exists()


def test_a_backup_that_fails_is_an_event_each_day(store, tmp_path):
    told: list[Event] = []
    made = daily(store, tmp_path, told)
    made.make(NOON)
    assert told == []
    (tmp_path / "backup").rename(tmp_path / "elsewhere")
    for day in (1, 2):
        with pytest.raises(StoreUnavailable):
            made.make(NOON + day * DAY_S)
    assert [(event.kind, event.at) for event in told] == [
        (EventKind.BACKUP_FAILED, NOON + day * DAY_S) for day in (1, 2)
    ]
    assert str(tmp_path / "backup") in told[0].message
