"""Every store keeps anomalies, marks, reports and tokens alike."""

from dataclasses import replace

from dcdaemon.core.anomaly import Anomaly, Finding, Severity
from dcdaemon.core.ports import Actor, GpuMark, Report, Store

ADA = Actor(uid=1001, gid=100, user="ada", operator=True)
IDLE_GPU = Finding(
    "idle_gpu",
    "gpu 0",
    Severity.WARNING,
    "GPU 0 idles",
    {"mean_ratio": 0.01, "pids": [1, 2]},
    job_id=7,
    gpu=0,
)
FULL = Finding("filesystem_full", "/", Severity.CRITICAL, "/ is 99 % full")


def test_an_anomaly_is_kept_with_its_evidence(store: Store) -> None:
    (raised,) = store.raise_anomalies([IDLE_GPU], 100.0)
    assert raised == Anomaly(raised.id, "n1", IDLE_GPU, 100.0)
    assert store.anomalies() == [raised]


def test_an_open_anomaly_is_not_raised_again(store: Store) -> None:
    (first,) = store.raise_anomalies([IDLE_GPU], 100.0)
    (second,) = store.raise_anomalies([IDLE_GPU, FULL], 200.0)
    assert second.finding == FULL
    assert store.anomalies() == [second, first]


def test_a_cleared_anomaly_may_come_again(store: Store) -> None:
    (first,) = store.raise_anomalies([FULL], 100.0)
    store.clear_anomalies([first.id], 150.0)
    store.clear_anomalies([first.id], 175.0)
    (second,) = store.raise_anomalies([FULL], 200.0)
    assert store.anomalies() == [second, replace(first, cleared_at=150.0)]
    assert store.anomalies(open_only=True) == [second]


def test_a_momentary_anomaly_is_cleared_at_birth_and_may_come_at_once_again(store: Store) -> None:
    (first,) = store.raise_anomalies([FULL], 100.0, momentary=True)
    (second,) = store.raise_anomalies([FULL], 100.0, momentary=True)
    assert (first.cleared_at, second.cleared_at) == (100.0, 100.0)
    assert store.anomalies(open_only=True) == []


def test_anomalies_are_found_by_time_and_job(store: Store) -> None:
    (first,) = store.raise_anomalies([IDLE_GPU], 100.0)
    (second,) = store.raise_anomalies([FULL], 200.0)
    assert store.anomalies(since=100.5) == [second]
    assert store.anomalies(job_id=7) == [first]
    assert store.raise_anomalies([], 300.0) == []
    store.clear_anomalies([], 300.0)


def test_acknowledging_names_who_has_seen_it(store: Store) -> None:
    (raised,) = store.raise_anomalies([FULL], 100.0)
    assert store.acknowledge(raised.id, 150.0, ADA)
    assert not store.acknowledge(4711, 150.0, ADA)
    assert store.anomalies() == [replace(raised, acked_by="ada")]
    (row,) = store.audit()
    assert (row.action, row.user, row.detail) == ("acknowledge", "ada", {"anomaly": raised.id})


def test_a_drained_gpu_is_marked_until_it_is_restored(store: Store) -> None:
    store.mark(GpuMark(3, drained="fan"), 100.0, ADA)
    store.mark(GpuMark(1, drained="ecc"), 110.0, ADA)
    store.mark(GpuMark(3, drained="fan, again"), 120.0, ADA)
    assert store.marks() == [GpuMark(1, "ecc", "ada", 110.0), GpuMark(3, "fan, again", "ada", 120.0)]
    store.mark(GpuMark(3), 130.0, ADA)
    store.mark(GpuMark(1), 130.0, ADA)
    assert store.marks() == []
    assert [row.action for row in store.audit()] == ["drain", "drain", "drain", "restore", "restore"]


def test_reports_come_back_in_order(store: Store) -> None:
    lines = [Report(7, 1, 100.0 + step, step, {"loss": 1 / (step + 1), "phase": "é"}) for step in range(3)]
    store.add_reports([*lines, Report(8, 2, 50.0, None, {})])
    assert store.reports(7) == lines
    assert store.reports(8) == [Report(8, 2, 50.0, None, {})]
    assert store.reports(9) == []
    assert [store.report_count(7), store.report_count(7, 1), store.report_count(7, 2)] == [3, 3, 0]
    store.add_reports([])


def test_a_token_stands_for_whom_it_was_made(store: Store) -> None:
    store.add_token("ab" * 32, ADA, "laptop", 100.0)
    assert store.token_owner("ab" * 32) == Actor(1001, 100, "ada", operator=True, via="token")
    assert store.token_owner("cd" * 32) is None
    (row,) = store.audit()
    assert (row.action, row.detail) == ("add_token", {"name": "laptop"})
