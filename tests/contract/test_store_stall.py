"""The database stalls: samples wait in memory as far as they fit, and what had to go is told once."""

import contextlib
import os
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa
from patience import until

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import GpuSample, HostSample
from dcdaemon.store.samples import pack
from dcdaemon.store.sql_store import SqlStore, open_store
from tests.postgres import start_postgres

T0 = 1_760_000_000
Stall = Callable[[], AbstractContextManager[None]]


def sweep(second: int) -> list[GpuSample | HostSample]:
    at = float(T0 + second)
    return [GpuSample(at, 0.0, 0, power_w=second + 0.5), GpuSample(at, 0.0, 1), HostSample(at, load_1m=1.0)]


# ---- ways to stall


@pytest.fixture
def locked_sqlite(sqlite_url: str) -> tuple[str, Stall]:
    @contextlib.contextmanager
    def stall() -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.rollback()

    return sqlite_url, stall


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """A server of our own: it is going to be stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DCD_TEST_POSTGRES_URL", raising=False)
        url, stop = start_postgres()
    yield url
    stop()


@pytest.fixture
def stopped_postgresql(own_server: str) -> tuple[str, Stall]:
    open_store(own_server, "n1").close()
    engine = sa.create_engine(own_server, poolclass=sa.NullPool)
    with engine.begin() as connection:
        data = Path(connection.execute(sa.text("SHOW data_directory")).scalar_one())
        for table in ("gpu_sample", "host_sample"):
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608  one of these two

    @contextlib.contextmanager
    def stall() -> Iterator[None]:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGINT)  # "fast shutdown"
        until(lambda: not (data / "postmaster.pid").exists())
        yield
        start_again(data)
        until(lambda: answers(engine))

    return own_server, stall


def start_again(data: Path) -> None:
    owner = data.stat()
    command = shlex.split((data / "postmaster.opts").read_text())
    identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["setsid", "--fork", *command], cwd="/", check=True, **quiet, **identity)  # type: ignore[call-overload]


def answers(engine: sa.Engine) -> bool:
    with contextlib.suppress(sa.exc.OperationalError), engine.connect():
        return True
    return False


@pytest.fixture(params=["locked_sqlite", "stopped_postgresql"])
def stalling(request: pytest.FixtureRequest) -> tuple[str, Stall]:
    chosen: tuple[str, Stall] = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def told() -> list[Event]:
    return []


def powers(store: SqlStore) -> list[float | None]:
    return [sample.power_w for sample in store.gpu_samples(0, T0, T0 + 10_000)]


# ---- what is promised


def test_nothing_that_fits_is_lost(stalling: tuple[str, Stall], told: list[Event]) -> None:
    url, stall = stalling
    store = open_store(url, "n1", busy_timeout_s=0.05, tell=told.append)
    store.record(sweep(0))
    store.flush_samples()
    with stall():
        for second in range(1, 200):
            store.record(sweep(second))
            if second % 40 == 0:
                with pytest.raises(StoreUnavailable):
                    store.flush_samples()
    store.flush_samples()
    assert powers(store) == [second + 0.5 for second in range(200)]
    assert store.facts().samples_dropped == 0
    assert told == []
    store.close()


def test_what_does_not_fit_goes_oldest_first_and_is_told_once(stalling: tuple[str, Stall], told: list[Event]) -> None:
    url, stall = stalling
    room_for_ten = len(pack("n1", sweep(1)).packed) * 10
    store = open_store(url, "n1", busy_timeout_s=0.05, buffered_bytes=room_for_ten, tell=told.append)
    store.record(sweep(0))
    store.flush_samples()
    with stall():
        for second in range(1, 31):
            store.record(sweep(second))
            if second % 10 == 0:
                with pytest.raises(StoreUnavailable):
                    store.flush_samples()
        assert told == [], "nobody is told while it cannot be stored anyway"
        assert store._writer.dropped == 60
    store.flush_samples()
    store.record(sweep(31))
    store.flush_samples()
    assert powers(store) == [second + 0.5 for second in [0, *range(21, 32)]]
    assert store.facts().samples_dropped == 60
    [event] = told
    assert (event.kind, event.subject, event.at) == (EventKind.SAMPLES_DROPPED, "database", T0 + 30.0)
    assert event.message == "60 readings of 19s were dropped: the database took no writes for too long"
    assert event.evidence == {"readings": 60, "from_at": T0 + 1.0, "to_at": T0 + 20.0}
    store.close()


def test_a_second_stall_is_told_again(locked_sqlite: tuple[str, Stall], told: list[Event]) -> None:
    url, stall = locked_sqlite
    room_for_one = len(pack("n1", sweep(1)).packed)
    store = open_store(url, "n1", busy_timeout_s=0.05, buffered_bytes=room_for_one, tell=told.append)
    for second in (0, 2):
        with stall():
            store.record(sweep(second))
            store.record(sweep(second + 1))
        store.flush_samples()
    assert [event.evidence["from_at"] for event in told] == [T0 + 0.0, T0 + 2.0]
    assert powers(store) == [1.5, 3.5]
    store.close()


def test_what_waits_is_not_taken_for_late_when_minutes_are_folded(locked_sqlite: tuple[str, Stall]) -> None:
    url, stall = locked_sqlite
    store = open_store(url, "n1", busy_timeout_s=0.05)
    for second in range(0, 600, 5):
        store.record(sweep(second))
        if second == 300:
            store.flush_samples()
    assert store.roll_up(T0 + 1200.0) > 0, "the first five minutes are there"
    with stall(), pytest.raises(StoreUnavailable):
        store.flush_samples()
    store.roll_up(T0 + 1200.0)
    store.flush_samples()
    store.roll_up(T0 + 1200.0)
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
        [(together,)] = raw.execute("SELECT sum(n) FROM gpu_sample_1m WHERE gpu = 0").fetchall()
    assert together == 120
    store.close()


def test_recording_never_waits_for_the_database(locked_sqlite: tuple[str, Stall]) -> None:
    """The lock is held for good: a call that waited would end in StoreUnavailable, or not at all."""
    url, stall = locked_sqlite
    store = open_store(url, "n1", busy_timeout_s=60.0)
    with stall():
        for second in range(100):
            store.record(sweep(second))
    store.close()


# ---- a row that no table takes


def test_one_impossible_value_keeps_nothing_back(url: str, told: list[Event]) -> None:
    store = open_store(url, "n1", tell=told.append)
    store.record(
        [
            GpuSample(T0 + 0.0, 0.0, 0, power_w=1.0, pcie_tx_bytes=2**64 - 1, util_ratio=1e300),
            GpuSample(T0 + 1.0, 0.0, 0, power_w=2.0, pcie_tx_bytes=7, error="\udcff\0 is no text"),
            GpuSample(T0 + 2.0, 0.0, 0, power_w="high"),  # type: ignore[arg-type]  what a driver may not, a bug may
            HostSample(T0 + 2.0, load_1m=1.0),
        ]
    )
    store.flush_samples()
    kept = store.gpu_samples(0, T0, T0 + 9)
    assert [(sample.power_w, sample.pcie_tx_bytes) for sample in kept[:2]] == [(1.0, None), (2.0, 7)]
    assert {event.kind for event in told} == {EventKind.IMPLAUSIBLE_VALUE}
    messages = {event.message for event in told}
    assert f"gpu_sample of 0: no room for pcie_tx_bytes = {2**64 - 1}" in messages
    assert {event.subject for event in told} >= {"gpu_sample pcie_tx_bytes", "gpu_sample util_ratio"}
    store.flush_samples()
    assert store.facts().samples_dropped == 0
    store.close()
