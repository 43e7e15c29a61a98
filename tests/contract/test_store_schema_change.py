"""Another version migrates the database under a running daemon: it goes on where it can, and says what happened."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor, JobQuery
from dcdaemon.core.samples import GpuSample
from dcdaemon.store.revision import HEAD
from dcdaemon.store.sql_store import SqlStore, open_store

T0 = 1_760_000_000.0
ADA = Actor(uid=1001, gid=100, user="ada")
SPEC = JobSpec(("x",), "/", 1, 1, "u", "x", "e")


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def running(url: str, told: list[Event]) -> Iterator[SqlStore]:
    store = open_store(url, "n1", tell=told.append)
    store.submit([SPEC], T0, ADA)
    store.record([GpuSample(T0, 0.0, 0)])
    store.flush_samples()
    store.roll_up(T0)
    yield store
    store.close()
    for back in (
        f"UPDATE alembic_version SET version_num = '{HEAD}'",  # noqa: S608  a constant
        "ALTER TABLE gpu_sample DROP COLUMN from_next_year",
    ):
        change(url, back, quietly=True)


def change(url: str, *statements: str, quietly: bool = False) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for statement in statements:
        try:
            with engine.begin() as connection:
                connection.execute(sa.text(statement))
        except sa.exc.DBAPIError:
            if not quietly:
                raise


def test_columns_that_are_new_disturb_nothing_and_it_is_told_once(
    running: SqlStore, url: str, told: list[Event]
) -> None:
    change(
        url,
        "ALTER TABLE gpu_sample ADD COLUMN from_next_year BIGINT",
        "UPDATE alembic_version SET version_num = '0099'",
    )
    running.record([GpuSample(T0 + 5, 0.0, 0, power_w=1.0)])
    running.flush_samples()
    running.submit([SPEC], T0 + 5, ADA)
    assert [sample.power_w for sample in running.gpu_samples(0, T0, T0 + 9)] == [None, 1.0]
    assert len(running.jobs(JobQuery())) == 2
    for minute in (1, 2):
        running.roll_up(T0 + 60 * minute)
    [event] = told
    assert (event.kind, event.subject, event.at) == (EventKind.SCHEMA_CHANGED, "database", T0 + 60)
    assert (
        event.message == f"the database has schema 0099 now, this daemon writes {HEAD}: restart it with the new version"
    )
    assert running.facts().schema == "0099"


def test_columns_that_are_gone_are_a_trouble_that_passes(running: SqlStore, url: str) -> None:
    change(url, "ALTER TABLE gpu_sample RENAME COLUMN power_w TO power_of_next_year_w")
    try:
        running.record([GpuSample(T0 + 5, 0.0, 0, power_w=1.0)])
        with pytest.raises(StoreUnavailable, match="its tables are not those of this program") as caught:
            running.flush_samples()
        assert caught.value.hint == "another version has changed them: restart the daemon with that version"
        with pytest.raises(StoreUnavailable, match="its tables are not those of this program"):
            running.gpu_samples(0, T0, T0 + 9)
        assert len(running.submit([SPEC], T0 + 5, ADA)) == 1, "what is not touched works"
    finally:
        change(url, "ALTER TABLE gpu_sample RENAME COLUMN power_of_next_year_w TO power_w")
    running.flush_samples()
    assert [sample.power_w for sample in running.gpu_samples(0, T0, T0 + 9)] == [None, 1.0]


def test_a_table_that_is_gone_is_a_trouble_that_passes(running: SqlStore, url: str) -> None:
    change(url, "ALTER TABLE event RENAME TO event_of_next_year")
    try:
        with pytest.raises(StoreUnavailable, match="its tables are not those of this program"):
            running.save_events([Event(T0, EventKind.XID, "gpu 0", "XID 79")])
        with pytest.raises(StoreUnavailable, match="its tables are not those of this program"):
            running.events()
    finally:
        change(url, "ALTER TABLE event_of_next_year RENAME TO event")
    assert running.save_events([Event(T0, EventKind.XID, "gpu 0", "XID 79")]) == [1]
