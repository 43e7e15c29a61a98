"""Every store keeps the ledger alike: nothing measured is lost, and nothing is booked twice."""

import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcdaemon.core.energy import IDLE, EnergyMethod, EnergyShare, Metered
from dcdaemon.core.errors import BadInput
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import JobSpec, Usage
from dcdaemon.core.ports import Actor, EnergyRow, MeterState, Store, UsageDelta
from dcdaemon.store.sql_store import open_store

HOUR = 3600
NOON = 20_000 * 86400 + 12 * HOUR
ADA = Actor(uid=1001, gid=100, user="ada")


def metered(
    parts: dict[int, int], *, gpu: int = 0, node: str = "n1", to_at: float = NOON + 10.0,
    method: EnergyMethod = EnergyMethod.COUNTER, counter_mj: int | None = 77,
) -> Metered:  # fmt: skip
    shares = tuple(EnergyShare(node, gpu, job_id, mj, 5.0) for job_id, mj in parts.items())
    return Metered(node, gpu, to_at - 10, to_at, sum(parts.values()), method, shares, counter_mj)


def a_job(store: Store, user: str) -> int:
    spec = JobSpec(("x",), "/", 1, 1, user, "x", "e", gpus=1)
    (job,) = store.submit([spec], 1.0, ADA)
    return job.id


def test_energy_adds_up_by_every_key(store: Store) -> None:
    ada, bob = a_job(store, "ada"), a_job(store, "bob")
    store.book([metered({ada: 300, IDLE: 50}), metered({bob: 2**53 + 1}, gpu=1)], [])
    store.book([metered({ada: 100}, to_at=NOON + 20), metered({bob: 9}, gpu=0, node="n2")], [])
    big = 2**53 + 1
    assert store.energy("user", None) == [
        EnergyRow("bob", big + 9, 10.0), EnergyRow("ada", 400, 10.0), EnergyRow("idle", 50, 5.0)
    ]  # fmt: skip
    assert store.energy("job", None) == [
        EnergyRow(str(bob), big + 9, 10.0), EnergyRow(str(ada), 400, 10.0), EnergyRow("idle", 50, 5.0)
    ]  # fmt: skip
    assert store.energy("gpu", None) == [
        EnergyRow("1", big, 5.0), EnergyRow("0", 450, 15.0), EnergyRow("n2:0", 9, 5.0)
    ]  # fmt: skip


def test_energy_by_an_unknown_key_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="moon"):
        store.energy("moon", None)


@pytest.fixture
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
def test_a_day_is_a_day_of_the_node(store: Store) -> None:
    midnight_utc = NOON - 12 * HOUR
    store.book([metered({IDLE: 1}, to_at=midnight_utc + 2 * HOUR), metered({IDLE: 2}, to_at=NOON)], [])
    assert store.energy("day", None) == [EnergyRow("2024-10-04", 2, 5.0), EnergyRow("2024-10-03", 1, 5.0)]


def test_since_counts_from_the_start_of_its_hour(store: Store) -> None:
    store.book([metered({IDLE: 1}, to_at=NOON - 1.0), metered({IDLE: 2}, to_at=NOON + 1.0)], [])
    assert store.energy("gpu", NOON + 1800.0) == [EnergyRow("0", 2, 5.0)]
    assert store.energy("gpu", NOON - 1.0) == [EnergyRow("0", 3, 10.0)]


def test_meters_tell_where_they_stood_and_of_which_card(store: Store) -> None:
    store.save_gpus([GpuInfo(0, "GPU-a", "H100", None), GpuInfo(1, "GPU-b", "H100", None)], 1.0)
    store.book([metered({IDLE: 5}, gpu=1), metered({IDLE: 5})], [])
    assert store.meters() == [
        MeterState(0, "GPU-a", NOON + 10.0, 77), MeterState(1, "GPU-b", NOON + 10.0, 77)
    ]  # fmt: skip
    store.save_gpus([GpuInfo(0, "GPU-c", "H200", None)], 2.0)
    assert store.meters()[0].uuid == "GPU-a", "the reading was of the old card"
    store.book([metered({IDLE: 5}, to_at=NOON + 30, counter_mj=None)], [])
    assert store.meters()[0] == MeterState(0, "GPU-c", NOON + 30.0, None)


def test_usage_sums_what_a_job_used(store: Store) -> None:
    job = a_job(store, "ada")
    store.book([metered({job: 300, IDLE: 4})], [UsageDelta(job, 4.0, 5.0, None)])
    assert store.usage([job, IDLE, 4711]) == {job: Usage(job, 300, 5.0, 4.0, 5.0, None, method="counter")}
    store.book([metered({job: 200})], [UsageDelta(job, 1.0, 5.0, 700)])
    store.book([], [UsageDelta(job, 0.5, 0.5, 600)])
    assert store.usage([job]) == {job: Usage(job, 500, 10.0, 5.5, 10.5, 700, method="counter")}
    store.book([metered({job: 1}, method=EnergyMethod.POWER)], [])
    assert store.usage([job])[job].method == "mixed"


def test_parts_that_do_not_add_up_are_refused_and_leave_nothing(store: Store) -> None:
    good, bad = metered({IDLE: 5}), metered({IDLE: 5})
    object.__setattr__(bad, "energy_mj", 6)
    with pytest.raises(ValueError, match="add up"):
        store.book([good, bad], [UsageDelta(1, 1.0, 1.0, None)])
    assert store.energy("gpu", None) == []
    assert store.meters() == []
    assert store.usage([1]) == {}


parts = st.dictionaries(st.integers(0, 3), st.integers(0, 2**40), min_size=1)
intervals = st.builds(
    lambda shares, gpu, at: metered(shares, gpu=gpu, to_at=at),
    parts,
    st.integers(0, 1),
    st.integers(0, 9_000),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(intervals, max_size=4), max_size=4))
def test_the_ledger_of_a_gpu_equals_its_meter(url: str, batches: list[list[Metered]]) -> None:
    store = open_store(url, "n1")
    for batch in batches:
        store.book(batch, [])
    store.close()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        booked = connection.execute(sa.text("SELECT gpu, sum(energy_mj) FROM energy GROUP BY gpu ORDER BY gpu"))
        measured = connection.execute(sa.text("SELECT gpu, measured_mj FROM meter ORDER BY gpu"))
        assert [(gpu, int(mj)) for gpu, mj in booked] == [(gpu, mj) for gpu, mj in measured]
        assert connection.execute(sa.text("SELECT count(*) FROM meter")).scalar_one() >= bool(any(batches))
