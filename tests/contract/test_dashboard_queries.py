"""Every query of every board, run on both databases over one history, against values worked out by hand."""

import json
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from dcdaemon.core.samples import DiskSample
from dcdaemon.store.retention import Retention
from dcdaemon.store.sql_store import open_store
from tests.contract import board_hardware
from tests.contract.board_hardware import NOW
from tests.contract.board_history import (
    DAY,
    GIB,
    HOUR,
    OLD,
    fill,
)
from tests.postgres import start_postgres

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
Row = dict[str, object]
Run = Callable[..., list[Row]]

EXPECTED: dict[str, list[Row]] = {
    "Jobs": [{"running": 1, "waiting": 3, "held": 1}],
    "GPUs": [{"busy": 1, "drained": 1, "all_gpus": 2}],
    "Power": [{"power_w": 470.0}],
    "Energy": [{"jobs_kwh": 0.6, "idle_kwh": 0.3}],
    "Anomalies": [{"open_anomalies": 1}],
    "GPU utilisation": [
        {"time": NOW - 20, "metric": "GPU 0", "value": pytest.approx(0.3)},
        {"time": NOW - 10, "metric": "GPU 0", "value": pytest.approx(0.7)},
        {"time": NOW, "metric": "GPU 0", "value": 1.0},
    ],
    "GPU power": [
        {"time": NOW - 20, "metric": "GPU 0", "value": 150.0},
        {"time": NOW - 10, "metric": "GPU 0", "value": 400.0},
        {"time": NOW - 10, "metric": "GPU 1", "value": 70.0},
        {"time": NOW, "metric": "GPU 0", "value": 400.0},
    ],
    "GPU memory": [
        {"time": NOW - 20, "metric": "GPU 0", "value": 11 * GIB},
        {"time": NOW - 10, "metric": "GPU 0", "value": 13 * GIB},
        {"time": NOW - 10, "metric": "GPU 1", "value": 1 * GIB},
        {"time": NOW, "metric": "GPU 0", "value": 14 * GIB},
    ],
    "GPU temperature": [
        {"time": NOW - 20, "metric": "GPU 0", "value": 51.0},
        {"time": NOW - 10, "metric": "GPU 0", "value": 53.0},
        {"time": NOW - 10, "metric": "GPU 1", "value": 35.0},
        {"time": NOW, "metric": "GPU 0", "value": 54.0},
    ],
    "GPUs now": [
        {
            "gpu": 0, "model": "H100", "kind": "real", "drained": None, "job_id": 2, "job": "long",
            "user_name": "ada",
            "util_ratio": 1.0, "power_w": 400.0, "temp_c": 54.0,
            "mem_used_bytes": 14 * GIB, "mem_total_bytes": 80 * GIB,
        },
        {
            "gpu": 1, "model": "H100", "kind": "simulated", "drained": "fan", "job_id": None, "job": None,
            "user_name": None, "util_ratio": None, "power_w": 70.0, "temp_c": 35.0,
            "mem_used_bytes": 1 * GIB, "mem_total_bytes": 80 * GIB,
        },
    ],
    "Waiting jobs": [
        {
            "job_id": number, "job": name, "user_name": "bob", "gpus_asked": gpus, "priority": priority,
            "state": state, "queued_ms": (NOW - wait_s) * 1000.0, "wait_s": float(wait_s),
        }
        for number, name, gpus, priority, state, wait_s in [
            (5, "first", 1, 70, "waiting", 100),
            (3, "second", 2, 50, "waiting", 300),
            (6, "again", 1, 10, "waiting", 200),
            (4, "later", 1, 90, "held", 250),
        ]
    ],
    "Running jobs": [
        {
            "job_id": 2, "job": "long", "user_name": "ada", "state": "running", "gpus": "[0]",
            "started_ms": (NOW - 600) * 1000.0, "run_s": 600.0, "util_ratio": 0.9, "energy_kwh": 0.1,
        }
    ],
    "Ended jobs": [
        {
            "job_id": 1, "job": "short", "user_name": "ada", "state": "succeeded", "exit_code": 0,
            "ended_ms": (NOW - 3500) * 1000.0, "wait_s": 100.0, "run_s": 3600.0,
            "gpu_hours": 1.0, "util_ratio": 0.75, "energy_kwh": 0.5,
        }
    ],
    "Energy by day": [
        {"utc_day": "2025-11-07", "jobs_kwh": 0.0, "idle_kwh": 0.2},
        {"utc_day": "2025-11-08", "jobs_kwh": 0.6, "idle_kwh": 0.3},
    ],
    "Energy by user": [
        {"user_name": "ada", "energy_kwh": 0.6, "gpu_hours": pytest.approx(4200 / 3600)},
        {"user_name": "idle", "energy_kwh": 0.3, "gpu_hours": 1.0},
    ],
    "Open anomalies": [
        {
            "raised_ms": (NOW - 30) * 1000.0, "severity": "warning", "rule": "idle_gpu", "subject": "gpu 0",
            "message": "GPU 0 idles", "job_id": 2, "gpu": 0, "acked_by": "",
        }
    ],
    "Events": [
        {
            "at_ms": (NOW - 5) * 1000.0, "event": "link_down", "subject": "eth0", "what": "eth0 lost its carrier",
            "times": 1, "gpu": None, "job_id": None,
        },
        {
            "at_ms": (NOW - 40) * 1000.0, "event": "xid", "subject": "gpu 0", "what": "XID 94", "times": 3, "gpu": 0,
            "job_id": 2,
        },
    ],
    **board_hardware.EXPECTED,
}  # fmt: skip


# ---- Grafana's part


def expanded(sql: str, *, since: int = NOW - DAY, until: int = NOW, interval_s: int = 10, node: str = "n1") -> str:
    """Put in the variables as Grafana does, and nothing else: any other variable is an error."""
    variables = {
        "${node:sqlstring}": f"'{node}'",
        "$__interval_ms": str(interval_s * 1000),
        "$__from": str(since * 1000),
        "$__to": str(until * 1000),
    }
    for variable, value in variables.items():
        sql = sql.replace(variable, value)
    assert "$" not in sql
    return sql


def board(file: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((DASHBOARDS / file).read_text())
    return document


def panels(file: str) -> dict[str, dict[str, object]]:
    found = [inner for panel in board(file)["panels"] for inner in (panel, *panel.get("panels", ()))]  # type: ignore[attr-defined]
    return {panel["title"]: panel for panel in found if panel["type"] != "row"}


def sql_of(panel: dict[str, object]) -> str:
    (target,) = panel["targets"]  # type: ignore[misc]
    return str(target.get("rawSql") or target["queryText"])


def near(value: object) -> object:
    """Return what a value must be equal to: gauges have seven digits in PostgreSQL."""
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


def as_float(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


@pytest.fixture(scope="module")
def sqlite_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    path = tmp_path_factory.mktemp("boards") / "dcdaemon.db"
    fill(f"sqlite:///{path}")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only(1)")

    def run(sql: str, **variables: object) -> list[Row]:
        return [dict(row) for row in connection.execute(expanded(sql, **variables))]  # type: ignore[arg-type]

    yield run
    connection.close()


@pytest.fixture(scope="module")
def postgresql_run() -> Iterator[Run]:
    url, stop = start_postgres()
    try:
        fill(url)
        with psycopg.connect(re.sub(r"^postgresql\+psycopg:", "postgresql:", url)) as connection:
            become_reader(connection)

            def run(sql: str, **variables: object) -> list[Row]:
                cursor = connection.execute(expanded(sql, **variables).encode())  # type: ignore[arg-type]
                if cursor.description is None:
                    return []
                names = [column.name for column in cursor.description]
                return [dict(zip(names, map(as_float, row), strict=True)) for row in cursor]

            yield run
            connection.rollback()
    finally:
        stop()


def become_reader(connection: psycopg.Connection) -> None:
    """Grant what dashboards/README.md says, in a transaction that is rolled back, and go on as that role."""
    (grants,) = re.findall(r"```sql\n(.*?)```", (DASHBOARDS / "README.md").read_text(), re.DOTALL)
    role = f"grafana_{uuid.uuid4().hex[:12]}"  # roles belong to the whole server, which others may use too
    connection.execute(grants.replace("dcdaemon_grafana", role).encode())
    (schema,) = connection.execute("SELECT current_schema()").fetchone() or ("public",)
    connection.execute(SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(schema), Identifier(role)))
    connection.execute(SQL("SET LOCAL ROLE {}").format(Identifier(role)))


# ---- the board of all nodes


FLEET: dict[str, list[Row]] = {
    "Nodes": [{"nodes": 2, "all_gpus": 3, "busy": 2, "drained": 1}],
    "Jobs": [{"running": 2, "waiting": 4, "held": 1}],
    "Power": [{"power_w": 275.0 + 70.0 + 999.0}],
    "Anomalies": [{"open_anomalies": 2}],
    # By minute: that of NOW - 60 has four readings of GPU 0, one of GPU 1, which does not tell, and one elsewhere.
    "GPUs used": [
        {"time": time, "metric": name, "value": value / part}
        for time, value in ((NOW - 60, 0.5), (NOW, 1.0))
        for name, part in (("SM", 2), ("kernel", 1), ("tensor", 4))
    ],
    "GPU power": [
        {"time": NOW - 60, "metric": "power", "value": 275.0 + 70.0 + 999.0},
        {"time": NOW, "metric": "power", "value": 400.0},
    ],
    "GPU memory": [
        {"time": NOW - 60, "metric": "used", "value": 11.5 * GIB + 1 * GIB + 20 * GIB},
        {"time": NOW, "metric": "used", "value": 14.0 * GIB},
    ],
    "GPUs measured": [
        {"time": NOW - 60, "metric": "GPUs", "value": 3.0},
        {"time": NOW, "metric": "GPUs", "value": 1.0},
    ],
    "Each node": [
        {
            "node": "n1", "all_gpus": 2, "busy": 1, "util_ratio": 0.75, "sm_active_ratio": 0.375,
            "tensor_active_ratio": 0.1875, "power_w": (275.0 + 70.0 + 400.0) / 3, "open_anomalies": 1,
        },
        {
            "node": "n2", "all_gpus": 1, "busy": 1, "util_ratio": 0.5, "sm_active_ratio": 0.25,
            "tensor_active_ratio": 0.125, "power_w": 999.0, "open_anomalies": 1,
        },
    ],
    "Energy by day": [
        {"utc_day": "2025-11-07", "jobs_kwh": 0.0, "idle_kwh": 0.2},
        {"utc_day": "2025-11-08", "jobs_kwh": 7.6, "idle_kwh": 0.3},
    ],
    "Energy by user": [
        {"user_name": "eve", "energy_kwh": 7.0, "gpu_hours": 60 / 3600},
        {"user_name": "ada", "energy_kwh": 0.6, "gpu_hours": 4200 / 3600},
        {"user_name": "idle", "energy_kwh": 0.3, "gpu_hours": 1.0},
    ],
    "Open anomalies": [
        {
            "raised_ms": (NOW - 30) * 1000.0, "node": node, "severity": "warning", "rule": "idle_gpu",
            "subject": "gpu 0", "message": message, "job_id": job_id, "gpu": gpu, "acked_by": "",
        }
        for node, message, job_id, gpu in (("n2", "elsewhere", None, None), ("n1", "GPU 0 idles", 2, 0))
    ],
    "Events": [
        {**event, "node": node}
        for node, event in (
            ("n2", {"at_ms": (NOW - 5) * 1000.0, "event": "xid", "subject": "gpu 0", "what": "elsewhere", "times": 1,
                    "gpu": None, "job_id": None}),
            *(("n1", event) for event in EXPECTED["Events"]),
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize("title", FLEET)
def test_every_panel_of_all_nodes_shows_what_the_history_says(title, postgresql_run):
    panel = panels("fleet.json")[title]
    since = NOW - HOUR if panel["type"] == "timeseries" or title == "Each node" else NOW - DAY
    until = NOW + 60 if title == "Power" else NOW
    rows = postgresql_run(sql_of(panel), since=since, until=until)
    assert rows == [{name: near(value) for name, value in row.items()} for row in FLEET[title]]


def test_no_panel_of_all_nodes_is_left_out():
    assert list(panels("fleet.json")) == list(FLEET)


def test_a_month_of_all_nodes_comes_from_hours_and_from_their_index_alone(postgresql_run):
    sql = sql_of(panels("fleet.json")["GPU power"])
    rows = postgresql_run(sql, since=NOW - 30 * DAY, interval_s=3600)
    assert [(row["time"], row["value"]) for row in rows] == [
        (OLD, 100.0),
        (NOW - HOUR, near(275.0 + 70.0 + 999.0)),
    ]
    postgresql_run("SET LOCAL enable_seqscan = off")  # a table of five rows would be read whole
    postgresql_run("SET LOCAL enable_bitmapscan = off")
    plan = [row["QUERY PLAN"] for row in postgresql_run(f"EXPLAIN {sql}", since=NOW - 30 * DAY, interval_s=3600)]
    assert any("Index Only Scan using gpu_sample_1h_fleet" in str(step) for step in plan)


BOTH = [("node.json", "postgresql_run"), ("node-sqlite.json", "sqlite_run")]


@pytest.mark.parametrize(("file", "run_fixture"), BOTH)
@pytest.mark.parametrize("title", EXPECTED)
def test_every_panel_shows_what_the_history_says(file, run_fixture, title, request):
    run: Run = request.getfixturevalue(run_fixture)
    panel = panels(file)[title]
    since = NOW - HOUR if panel["type"] == "timeseries" else NOW - DAY
    rows = run(sql_of(panel), since=since)
    assert rows == [{name: near(value) for name, value in row.items()} for row in EXPECTED[title]]
    assert rows


@pytest.mark.parametrize(("file", "run_fixture"), BOTH)
def test_no_panel_is_left_out(file, run_fixture):
    assert list(panels(file)) == list(EXPECTED)


@pytest.mark.parametrize(("file", "run_fixture"), BOTH)
def test_the_board_describes_every_column_a_query_returns(file, run_fixture, request):
    run: Run = request.getfixturevalue(run_fixture)
    for title, panel in panels(file).items():
        if panel["type"] == "timeseries":
            continue
        described = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]  # type: ignore[index]
        assert described == list(run(sql_of(panel))[0]), title


@pytest.mark.parametrize(("file", "run_fixture"), BOTH)
def test_the_node_can_be_picked(file, run_fixture, request):
    run: Run = request.getfixturevalue(run_fixture)
    (query,) = [v["query"] for v in board(file)["templating"]["list"] if v["name"] == "node"]  # type: ignore[index]
    assert run(query) == [{"node": "n1"}, {"node": "n2"}]
    assert run(sql_of(panels(file)["Power"]), node="n2") == [{"power_w": 999.0}]


@pytest.mark.parametrize(("file", "run_fixture"), BOTH)
@pytest.mark.parametrize(
    ("since", "until", "interval_s", "expected"),
    [
        # Three hours come from samples.
        (NOW - 3 * HOUR, NOW, 10, [(NOW - 20, 0.3), (NOW - 10, 0.7), (NOW, 1.0)]),
        # Samples of that time are gone; the minute's mean stands in for them.
        (OLD - HOUR, OLD + HOUR, 10, [(OLD, 0.3)]),
        # A day comes from minutes, and so do three hours drawn so small that a point is a minute.
        (NOW - DAY, NOW, 10, [(NOW - 60, 0.5), (NOW, 1.0)]),
        (NOW - 3 * HOUR, NOW, 60, [(NOW - 60, 0.5), (NOW, 1.0)]),
        # More than three days come from hours; the hour of NOW is not closed yet, its minute is.
        (OLD - HOUR, NOW, 10, [(OLD, 0.3), (NOW - HOUR, 0.5), (NOW, 1.0)]),
        (NOW - DAY, NOW, 3600, [(NOW - HOUR, 0.5), (NOW, 1.0)]),
        # Before everything, and after.
        (OLD - 9 * DAY, OLD - 8 * DAY, 60, []),
        (NOW + DAY, NOW + 2 * DAY, 60, []),
    ],
)  # fmt: skip
def test_the_longer_the_time_the_coarser_the_rows(file, run_fixture, since, until, interval_s, expected, request):
    run: Run = request.getfixturevalue(run_fixture)
    rows = run(sql_of(panels(file)["GPU utilisation"]), since=since, until=until, interval_s=interval_s)
    assert [(row["time"], pytest.approx(row["value"])) for row in rows] == expected


def test_where_minutes_are_gone_hours_stand_in_and_nothing_is_shown_twice(tmp_path):
    path = tmp_path / "dcdaemon.db"
    store = open_store(f"sqlite:///{path}", "n1", Retention(raw_s=HOUR, minute_s=2 * HOUR))
    for at in range(NOW - 8 * HOUR, NOW + 1, 20):
        store.record([DiskSample(float(at), "sda", queued_s=float(at % DAY))])  # grows by one in a second
    store.flush_samples()
    store.prune(NOW)
    store.close()
    sql = sql_of(panels("node-sqlite.json")["Disk queue"])
    connection = sqlite3.connect(path)
    for ago, interval_s, expected in (
        (8 * HOUR, 60, [*range(-8 * HOUR, -2 * HOUR, HOUR), *range(-2 * HOUR, 1, 60)]),
        # The first sample has nothing to grow from.
        (3 * HOUR, 10, [-3 * HOUR, *range(-2 * HOUR, -HOUR, 60), *range(-HOUR + 20, 1, 20)]),
        (5 * DAY, 3600, [*range(-8 * HOUR, 1, HOUR)]),
    ):
        rows = connection.execute(expanded(sql, since=NOW - ago, interval_s=interval_s)).fetchall()
        assert [time - NOW for time, _, _ in rows] == expected
        assert {round(value, 1) for _, _, value in rows} == {1.0}
    connection.close()


def test_in_sqlite_no_column_mixes_whole_and_decimal_numbers(sqlite_run):
    """Its data source takes a column's type from the first value and cuts off the decimals of the rest."""
    for title, panel in panels("node-sqlite.json").items():
        rows = sqlite_run(sql_of(panel), since=NOW - HOUR) or sqlite_run(sql_of(panel))
        for column in rows[0]:
            kinds = {type(row[column]) for row in rows} - {type(None)}
            assert len(kinds) <= 1, (title, column, kinds)


def test_in_sqlite_no_panel_reads_the_whole_job_history(sqlite_run):
    for title, panel in panels("node-sqlite.json").items():
        steps = sqlite_run("EXPLAIN QUERY PLAN " + sql_of(panel))
        assert [step["detail"] for step in steps if step["detail"] in ("SCAN job", "SCAN usage")] == [], title


def test_in_sqlite_every_graph_reads_its_span_of_time_and_no_more(sqlite_run):
    """The three levels by a range of the key; the first and last row of each by the key as well."""
    for title, panel in panels("node-sqlite.json").items():
        if panel["type"] != "timeseries":
            continue
        steps = [str(step["detail"]) for step in sqlite_run("EXPLAIN QUERY PLAN " + sql_of(panel))]
        reads = [step for step in steps if "_sample" in step]
        assert all(step.startswith("SEARCH") and "USING PRIMARY KEY (node=?" in step for step in reads), (title, reads)
        ranges = [step for step in reads if step.endswith("(node=? AND ts>? AND ts<?)")]
        assert len(ranges) == 3, (title, reads)
