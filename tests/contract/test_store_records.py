"""Every store keeps anomalies, marks, reports and tokens alike."""

from dataclasses import replace

import pytest

from dcdaemon.core.anomaly import Anomaly, Finding, Severity
from dcdaemon.core.audit import AuditQuery, Change
from dcdaemon.core.ports import DAEMON, Actor, GpuMark, Report, Store
from dcdaemon.core.token import Token, TokenRole

ADA = Actor(uid=1001, gid=100, user="ada", operator=True)
BOB = Actor(uid=1002, gid=100, user="bob", operator=True)
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
    token = Token("ab" * 32, "laptop", 1001, 100, "ada", TokenRole.OPERATOR, 100.0, "root", expires_at=500.0)
    assert store.add_token(token, ADA)
    assert store.token("ab" * 32) == token
    assert store.token("cd" * 32) is None
    (row,) = store.audit()
    assert (row.action, row.subject, row.before, row.after) == (
        "token_create",
        "token abababababab",
        None,
        {"token": "abababababab", "name": "laptop", "user": "ada", "role": "operator", "expires_at": 500.0},
    )


def test_a_name_is_taken_until_its_token_is_revoked(store: Store) -> None:
    first = Token("ab" * 32, "laptop", 1001, 100, "ada", TokenRole.SUBMITTER, 100.0, "ada")
    assert store.add_token(first, ADA)
    second = replace(first, hash="cd" * 32, created_at=200.0)
    assert not store.add_token(second, ADA)
    assert store.revoke_token(first.hash, 300.0, BOB)
    assert store.add_token(second, ADA)
    assert store.tokens() == [replace(first, revoked_at=300.0, revoked_by="bob"), second]
    assert [row.action for row in store.audit()] == ["token_create", "token_revoke", "token_create"]


def test_a_token_is_revoked_once(store: Store) -> None:
    assert not store.revoke_token("ab" * 32, 300.0, ADA)
    assert store.add_token(Token("ab" * 32, "x", 1, 1, "ada", TokenRole.VIEWER, 100.0, "ada"), ADA)
    assert store.revoke_token("ab" * 32, 300.0, ADA)
    assert not store.revoke_token("ab" * 32, 400.0, ADA)
    found = store.token("ab" * 32)
    assert found is not None
    assert found.revoked_at == 300.0


def test_the_last_use_of_a_token_is_no_change_worth_a_row(store: Store) -> None:
    assert store.add_token(Token("ab" * 32, "x", 1, 1, "ada", TokenRole.VIEWER, 100.0, "ada"), ADA)
    store.used_token("ab" * 32, 150.0, "10.0.0.3:999")
    [found] = store.tokens()
    assert (found.last_used_at, found.last_used_from) == (150.0, "10.0.0.3:999")
    assert len(store.audit()) == 1


def test_the_audit_tells_who_from_where_what_before_and_after(store: Store) -> None:
    far = replace(BOB, via="token", peer="10.0.0.3:999", token="ab" * 6)
    store.mark(GpuMark(3, drained="fan"), 100.0, ADA)
    store.mark(GpuMark(3, drained="ecc"), 200.0, far)
    store.note(Change("config_reload", "daemon", None, {"a": 1}, {"a": 2}), 300.0, DAEMON)
    rows = store.find_audit(AuditQuery())
    told = [(row.action, row.subject, row.user, row.peer, row.token, row.before, row.after) for row in rows]
    assert told == [
        ("drain", "gpu 3", "ada", None, None, {"drained": None}, {"drained": "fan"}),
        ("drain", "gpu 3", "bob", "10.0.0.3:999", "abababababab", {"drained": "fan"}, {"drained": "ecc"}),
        ("config_reload", "daemon", "dcdaemon", None, None, {"a": 1}, {"a": 2}),
    ]
    assert [row.id for row in rows] == sorted({row.id for row in rows})


@pytest.mark.parametrize(
    ("query", "times"),
    [
        (AuditQuery(), [100.0, 200.0, 300.0]),
        (AuditQuery(since=200.0), [200.0, 300.0]),
        (AuditQuery(user="bob"), [200.0]),
        (AuditQuery(uid=1001), [100.0, 300.0]),
        (AuditQuery(action="restore"), [300.0]),
        (AuditQuery(limit=2), [200.0, 300.0]),
        (AuditQuery(job_ids=(7,)), []),
    ],
)
def test_audit_rows_are_found_by_what_they_say(store: Store, query: AuditQuery, times: list[float]) -> None:
    store.mark(GpuMark(3, drained="fan"), 100.0, ADA)
    store.mark(GpuMark(3, drained="ecc"), 200.0, BOB)
    store.mark(GpuMark(3), 300.0, ADA)
    assert [row.at for row in store.find_audit(query)] == times
