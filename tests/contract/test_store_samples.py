"""Every store keeps samples alike; those on a database fold and prune them."""

from dataclasses import asdict, fields, replace
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.metric import Kind, metrics_of
from dcdaemon.core.ports import Store
from dcdaemon.core.samples import (
    KINDS,
    AnySample,
    DiskSample,
    FilesystemSample,
    GpuSample,
    HostSample,
    NetSample,
    SwitchPortSample,
)
from dcdaemon.store.retention import Retention
from dcdaemon.store.samples import pack
from dcdaemon.store.sql_store import SqlStore, open_store

HOUR, DAY = 3600, 86400
T0 = 20_000 * DAY


def gpu(at: float, index: int = 0, **read: Any) -> GpuSample:
    return GpuSample(at=at, monotonic_s=at - T0 + 5, gpu=index, **read)


def host(at: float, written: int = 0, received: int = 0) -> tuple[AnySample, ...]:
    return (
        HostSample(at, 0.5, 1.0, 100, 50, None),
        DiskSample(at, "nvme0n1", 1, written, 2, 3, None), DiskSample(at, "sda", 0, 0, 0, 0, 0.5),
        FilesystemSample(at, "/", "ext4", 1000, 400, 9, read_only=False),
        FilesystemSample(at, "/nfs", "nfs", None, None, None, read_only=False, error="no answer"),
        NetSample(at, "eth0", received, 0, 0, 0, 0, 0, up=True, speed_bps=10**10),
    )  # fmt: skip


def rows(url: str, table: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    everything = sa.select(sa.text("*")).select_from(sa.table(table)).order_by(sa.text("ts"))
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(everything).mappings()]


@pytest.fixture
def sql_store(url: str) -> Any:
    store = open_store(url, "n1", Retention(raw_s=2 * HOUR, minute_s=DAY, hour_s=10 * DAY, record_s=30 * DAY))
    yield store
    store.close()


def test_a_sample_comes_back_without_its_fraction_of_a_second_and_its_processes(store: Store) -> None:
    full = gpu(
        T0 + 0.75, 1, util_ratio=0.5, mem_bw_busy_ratio=0.25, mem_used_bytes=2**40, mem_total_bytes=2**41,
        power_w=312.5, energy_counter_mj=2**50, temp_c=61.0, sm_clock_hz=1_980_000_000,
        mem_clock_hz=2_619_000_000, power_limit_w=700.0, processes=(GpuProcess(1, 2),),
        simulated=True, error="clock: not supported",
    )  # fmt: skip
    store.record([full, gpu(T0 + 0.75, 0)])
    assert store.gpu_samples(1, T0, T0 + 1) == [], "nothing is written before the flush"
    store.flush_samples()
    assert store.gpu_samples(1, T0, T0 + 1) == [replace(full, at=float(T0), monotonic_s=0.0, processes=None)]
    assert store.gpu_samples(0, T0, T0 + 1) == [GpuSample(float(T0), 0.0, 0)]


def test_samples_come_oldest_first_within_their_bounds(store: Store) -> None:
    for second in (3, 1, 2, 4):
        store.record([gpu(T0 + second, power_w=float(second))])
    store.flush_samples()
    assert [sample.power_w for sample in store.gpu_samples(0, T0 + 1, T0 + 3)] == [1.0, 2.0, 3.0]


def test_a_second_reading_of_one_second_replaces_the_first(store: Store) -> None:
    store.record([gpu(T0 + 0.1, power_w=1.0)])
    store.record([gpu(T0 + 0.9, power_w=2.0)])
    store.flush_samples()
    store.record([gpu(T0 + 0.95, power_w=3.0)])
    store.flush_samples()
    assert [sample.power_w for sample in store.gpu_samples(0, T0, T0)] == [3.0]


def test_every_part_of_a_host_reading_is_written(sql_store: SqlStore, url: str) -> None:
    sql_store.record(host(T0 + 0.5, written=7))
    sql_store.flush_samples()
    (node,) = rows(url, "host_sample")
    assert (node["ts"], node["cpu_util_ratio"], node["swap_used_bytes"]) == (T0, 0.5, None)
    assert {row["device"]: row["written_bytes"] for row in rows(url, "disk_sample")} == {
        "nvme0n1": 7,
        "sda": 0,
    }
    assert {row["mount"]: row["error"] for row in rows(url, "filesystem_sample")} == {
        "/": None,
        "/nfs": "no answer",
    }
    assert [row["speed_bps"] for row in rows(url, "net_sample")] == [10**10]


def filled(kind: Any, at: float) -> Any:
    """Return a sample of a kind with a value of its own in every field."""
    values: dict[str, Any] = {}
    for number, field in enumerate(fields(kind)):
        types = get_args(field.type) or (field.type,)
        plain = {bool: number % 2 == 0, int: 2**40 + number, float: number + 0.5, str: f"{field.name} é'%"}
        wanted = [plain[one] for one in types if one in plain]
        values[field.name] = wanted[0] if wanted else None
    small = {"gpu": 3, "port": 1} if kind is not SwitchPortSample else {}
    return kind(**{**values, "at": at, **{name: value for name, value in small.items() if name in values}})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.KIND))
def test_every_field_of_every_kind_is_stored(kind: Any, sql_store: SqlStore, url: str) -> None:
    sample = filled(kind, T0 + 0.5)
    sql_store.record([sample])
    sql_store.flush_samples()
    [row] = rows(url, f"{kind.KIND}_sample")
    stored = [*kind.KEYS, *(one.attribute for one in metrics_of(kind)), "simulated", "error"]
    expected = {name: value for name, value in asdict(sample).items() if name in stored}
    assert {name: row.pop(name) for name in expected} == expected
    assert row == {"node": "n1", "ts": T0}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.KIND))
def test_every_kind_is_folded_each_device_by_itself(kind: Any, sql_store: SqlStore, url: str) -> None:
    first = filled(kind, T0 + 5.0)
    grown = {one.attribute: getattr(first, one.attribute) + 2 for one in metrics_of(kind) if one.kind is not Kind.FACT}
    other = {name: 9 if isinstance(getattr(first, name), int) else "other" for name in kind.KEYS}
    sql_store.record([first, replace(first, at=T0 + 10.0, **grown), *([replace(first, **other)] if other else [])])
    sql_store.flush_samples()
    sql_store.roll_up(T0 + HOUR + 30)
    for twin in ("1m", "1h"):
        found = rows(url, f"{kind.KIND}_sample_{twin}")
        assert sorted(row["n"] for row in found) == ([1, 2] if other else [2])
        [row] = [row for row in found if row["n"] == 2]
        for one in metrics_of(kind):
            begun = getattr(first, one.attribute)
            if one.kind is Kind.GAUGE:
                folded = [row[f"{one.attribute}_{fold}"] for fold in ("avg", "min", "max")]
                assert folded == pytest.approx([begun + 1, begun, begun + 2], rel=1e-6)
            elif one.kind is Kind.COUNTER:
                assert row[f"{one.attribute}_delta"] == 2


def test_a_closed_minute_is_folded_into_mean_range_and_growth(sql_store: SqlStore, url: str) -> None:
    readings = [
        gpu(T0 + 50, util_ratio=0.9, energy_counter_mj=1000),  # the minute before
        gpu(T0 + 60, util_ratio=0.2, power_w=100.0, mem_used_bytes=10, energy_counter_mj=1500, simulated=True),
        gpu(T0 + 80, util_ratio=0.4, power_w=None, mem_used_bytes=30, energy_counter_mj=1600),
        gpu(T0 + 100, util_ratio=0.9, power_w=300.0, mem_used_bytes=20, energy_counter_mj=50),  # driver reloaded
        gpu(T0 + 100, 1, util_ratio=None),
        gpu(T0 + 125, util_ratio=0.7, energy_counter_mj=60),  # a minute not closed yet
    ]
    sql_store.record(readings)
    sql_store.flush_samples()
    assert sql_store.roll_up(T0 + 120 + 29) == 1, "only the first minute is surely over"
    assert sql_store.roll_up(T0 + 120 + 30) == 2
    folded = {(row["ts"], row["gpu"]): row for row in rows(url, "gpu_sample_1m")}
    assert folded.keys() == {(T0, 0), (T0 + 60, 0), (T0 + 60, 1)}
    minute = folded[T0 + 60, 0]
    assert minute["n"] == 3
    assert (minute["util_ratio_avg"], minute["util_ratio_min"], minute["util_ratio_max"]) == (
        pytest.approx(0.5), 0.2, 0.9
    )  # fmt: skip
    assert (minute["power_w_avg"], minute["power_w_min"]) == (200.0, 100.0), "unknown is not zero"
    assert (minute["mem_used_bytes_avg"], minute["mem_used_bytes_max"]) == (20.0, 30)
    assert minute["energy_counter_mj_delta"] == 500 + 100 + 50
    assert minute["simulated"] in (True, 1)
    assert folded[T0 + 60, 1]["util_ratio_avg"] is None
    assert folded[T0, 0]["energy_counter_mj_delta"] is None, "there was nothing to compare with"


def test_folding_twice_writes_nothing_more(sql_store: SqlStore, url: str) -> None:
    for second in range(0, 3 * HOUR, 300):
        sql_store.record([gpu(T0 + second, power_w=100.0), *host(T0 + second, second, 2 * second)])
    sql_store.flush_samples()
    now = T0 + 3 * HOUR + 60
    assert sql_store.roll_up(now) > 0
    before = {
        table: rows(url, table) for table in ("gpu_sample_1m", "gpu_sample_1h", "disk_sample_1h", "net_sample_1h")
    }
    assert sql_store.roll_up(now) == 0
    assert before == {table: rows(url, table) for table in before}
    assert [row["n"] for row in before["gpu_sample_1h"]] == [12, 12, 12]
    written = [row["written_bytes_delta"] for row in before["disk_sample_1h"] if row["device"] == "nvme0n1"]
    assert written == [3300, 3600, 3600], "growth is counted across the edges of the buckets"


def test_folding_again_from_the_start_gives_the_same_rows(sql_store: SqlStore, url: str) -> None:
    for second in range(0, 2 * HOUR, 90):
        sql_store.record([gpu(T0 + second, power_w=second % 7 + 0.25, energy_counter_mj=second % 1000)])
    sql_store.flush_samples()
    sql_store.roll_up(T0 + 2 * HOUR + 60)
    before = {table: rows(url, table) for table in ("gpu_sample_1m", "gpu_sample_1h")}
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DELETE FROM rolled_up"))
    assert sql_store.roll_up(T0 + 2 * HOUR + 60) == sum(map(len, before.values())) > 80
    assert before == {table: rows(url, table) for table in before}


def test_an_hour_is_what_its_minutes_are_together(sql_store: SqlStore, url: str) -> None:
    """A counter that is reset, a gauge that is unknown now and then, a silence: all of them in both."""
    counters = [0, 700, 900, 100, 100, None, 400, 20]
    for step, counter in enumerate(counters * 40):
        power_w = None if step % 3 == 0 else step % 11 + 0.5
        sql_store.record([gpu(T0 + 7 * step, power_w=power_w, energy_counter_mj=counter)])
    sql_store.flush_samples()
    sql_store.roll_up(T0 + HOUR + 30)
    minutes, [hour] = rows(url, "gpu_sample_1m"), rows(url, "gpu_sample_1h")
    known = [step % 11 + 0.5 for step in range(320) if step % 3]
    assert hour["n"] == sum(row["n"] for row in minutes) == 320
    assert hour["power_w_avg"] == pytest.approx(sum(known) / len(known))
    assert hour["power_w_min"] == min(row["power_w_min"] for row in minutes) == min(known)
    assert hour["power_w_max"] == max(row["power_w_max"] for row in minutes) == max(known)
    # 700 + 200, reset to 100, +0, 300 over the unknown one, reset to 20, reset to 0 where it begins again.
    assert hour["energy_counter_mj_delta"] == sum(row["energy_counter_mj_delta"] or 0 for row in minutes) == 1320 * 40


def test_growth_while_the_daemon_was_away_is_counted_up_to_an_hour_and_never_twice(
    sql_store: SqlStore, url: str
) -> None:
    for taken in (((0, 100), (5, 110)), ((1800, 500),), ((2 * HOUR, 900),), ((2 * HOUR + 60, 950),)):
        sql_store.record([gpu(T0 + at, energy_counter_mj=counter) for at, counter in taken])
        sql_store.flush_samples()
        sql_store.roll_up(T0 + taken[-1][0] + 100)
    sql_store.roll_up(T0 + 3 * HOUR + 60)
    assert [(row["ts"] - T0, row["energy_counter_mj_delta"]) for row in rows(url, "gpu_sample_1m")] == [
        (0, 10), (1800, 390), (2 * HOUR, None), (2 * HOUR + 60, 50),
    ]  # fmt: skip
    assert [row["energy_counter_mj_delta"] for row in rows(url, "gpu_sample_1h")] == [400, 50]


def test_a_late_sample_stays_in_its_own_table_alone(sql_store: SqlStore, url: str) -> None:
    sql_store.record([gpu(T0, power_w=1.0)])
    sql_store.flush_samples()
    sql_store.roll_up(T0 + 120)
    sql_store.record([gpu(T0 + 30, power_w=9.0)])
    sql_store.flush_samples()
    assert sql_store.roll_up(T0 + 120) == 0
    assert [row["power_w_max"] for row in rows(url, "gpu_sample_1m")] == [1.0]
    assert [sample.power_w for sample in sql_store.gpu_samples(0, T0, T0 + 60)] == [1.0, 9.0]


def test_folding_goes_on_after_the_clock_was_a_day_ahead(sql_store: SqlStore, url: str) -> None:
    for at in (T0 + DAY, T0 + DAY + 60):
        sql_store.record([gpu(at, power_w=5.0)])
    sql_store.flush_samples()
    sql_store.roll_up(T0 + DAY + 200)
    assert len(rows(url, "gpu_sample_1m")) == 2
    sql_store.roll_up(T0 + 30)  # the clock was set right
    sql_store.record([gpu(T0 + 60, power_w=1.0), gpu(T0 + 120, power_w=2.0)])
    sql_store.flush_samples()
    assert sql_store.roll_up(T0 + 300) == 2
    assert [row["power_w_avg"] for row in rows(url, "gpu_sample_1m")][:2] == [1.0, 2.0]


def test_only_what_is_past_its_retention_goes(sql_store: SqlStore, url: str) -> None:
    for second in range(0, 6 * HOUR, 600):
        sql_store.record([gpu(T0 + second), *host(T0 + second)])
    sql_store.flush_samples()
    now = T0 + 6 * HOUR
    assert sql_store.prune(now) == 24 * (1 + 1 + 2 + 2 + 1)
    assert rows(url, "gpu_sample")[0]["ts"] == T0 + 4 * HOUR
    assert len(rows(url, "gpu_sample_1m")) == 36
    assert sql_store.prune(now) == 0
    assert sql_store.prune(T0 + 2 * DAY) > 0
    assert rows(url, "gpu_sample_1m") == []
    assert len(rows(url, "gpu_sample_1h")) == 6
    sql_store.prune(T0 + 11 * DAY)
    assert rows(url, "gpu_sample_1h") == []


def test_samples_of_an_hour_not_folded_yet_stay_however_short_the_retention(url: str) -> None:
    store = open_store(url, "n1", Retention(raw_s=0, minute_s=DAY, hour_s=DAY))
    store.record([gpu(T0 + HOUR - 1), gpu(T0 + HOUR), gpu(T0 + HOUR + 300)])
    store.flush_samples()
    assert store.prune(T0 + HOUR + 600) == 1
    assert [row["ts"] for row in rows(url, "gpu_sample")] == [T0 + HOUR, T0 + HOUR + 300]
    assert store.prune(T0 + 3 * HOUR) == 2
    assert [row["n"] for row in rows(url, "gpu_sample_1h")] == [1, 2]
    store.close()


def test_a_full_buffer_drops_the_oldest_and_counts_them(url: str) -> None:
    two_sweeps = len(pack("n1", [gpu(T0), gpu(T0, 1)]).packed) * 2
    store = open_store(url, "n1", buffered_bytes=two_sweeps)
    for second in range(5):
        store.record([gpu(T0 + second), gpu(T0 + second, 1)])
    store.flush_samples()
    assert [sample.at for sample in store.gpu_samples(0, T0, T0 + 9)] == [T0 + 3, T0 + 4]
    assert store.facts().samples_dropped == 6
    store.close()


def test_old_reports_and_cleared_anomalies_go_and_open_ones_stay(sql_store: SqlStore) -> None:
    from dcdaemon.core.anomaly import Finding, Severity  # noqa: PLC0415
    from dcdaemon.core.ports import Report  # noqa: PLC0415

    sql_store.add_reports([Report(1, 1, T0, 1, {}), Report(1, 1, T0 + 40 * DAY, 2, {})])
    cleared, opened = sql_store.raise_anomalies(
        [Finding("a", "x", Severity.INFO, "x"), Finding("b", "x", Severity.INFO, "x")], T0
    )
    sql_store.clear_anomalies([cleared.id], T0 + 1)
    assert sql_store.prune(T0 + 45 * DAY) == 2
    assert [line.step for line in sql_store.reports(1)] == [2]
    assert sql_store.anomalies() == [opened]
