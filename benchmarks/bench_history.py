"""What history costs: size of a week, panels of 30 days, one commit, folding and deleting an hour; both databases.

The node has eight GPUs and everything on, its raw samples of two days go the way of real ones into SQLite and are
copied from there into PostgreSQL. Older minutes and hours are copies of those days. Panels run the SQL of the boards.
Smaller and quicker: python -m benchmarks.bench_history --raw-hours 6 --nodes 10
"""

import argparse
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from benchmarks.history_life import SWEEP_S, T0, node_devices, sweeps
from dcdaemon.core.samples import AnySample, GpuSample, HostSample
from dcdaemon.grafana.board import fleet_board, node_board
from dcdaemon.grafana.dialect import POSTGRESQL, SQLITE, Dialect
from dcdaemon.grafana.panels import Panel
from dcdaemon.store.retention import Retention
from dcdaemon.store.series import HOUR_S, MINUTE_S, SERIES
from dcdaemon.store.sql_store import SqlStore, open_store
from tests.postgres import start_postgres

NODE = "gpu-node-017"
DAY_S = 86400
REPEATS = 5
#: What Grafana asks for on a graph of some 1,500 points.
INTERVALS_S = {3 * HOUR_S: 10, DAY_S: 60, 30 * DAY_S: 1800}
Run = Callable[[str], list[Any]]


@dataclass(frozen=True)
class Size:
    """How much is filled in."""

    gpus: int
    raw_hours: int
    nodes: int

    @property
    def end(self) -> int:
        """Return the end of the history."""
        return T0 + self.raw_hours * HOUR_S

    @property
    def week(self) -> str:
        """Say what a week is: as long as the samples in it are kept."""
        return f"a week of {self.gpus} GPUs and their node, samples of {self.raw_hours} h, MB"


@dataclass
class Figures:
    """What was measured on one database."""

    found: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, figure: str) -> None:
        """Note a figure."""
        self.found[what] = figure


def main(arguments: Sequence[str] = ()) -> None:
    """Fill both databases and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--raw-hours", type=int, default=48)
    parser.add_argument("--nodes", type=int, default=125, help="nodes in PostgreSQL's hours")
    given = parser.parse_args(arguments)
    size = Size(given.gpus, given.raw_hours, given.nodes)
    sqlite, postgresql = Figures(), Figures()
    with tempfile.TemporaryDirectory(prefix="dcd-history-") as name:
        path = Path(name) / "dcdaemon.db"
        measure_sqlite(size, path, sqlite)
        url, stop = start_postgres()
        try:
            measure_postgresql(size, path, url, postgresql)
        finally:
            stop()
        measure_writing(f"sqlite:///{path}", size, sqlite)
    print(f"{'':<60}{'SQLite':>14}{'PostgreSQL':>14}")
    for what, figure in postgresql.found.items():
        print(f"{what:<60}{sqlite.found.get(what, '-'):>14}{figure:>14}")


def measure_sqlite(size: Size, path: Path, figures: Figures) -> None:
    """Fill a file by the store itself, and measure on it."""
    url = f"sqlite:///{path}"
    fill(size, url)
    with opened(url) as store:
        measure_folding(store, size, figures)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        copy_before(size, raw.execute, 7)
        raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        figures.add(size.week, f"{path.stat().st_size / 1e6:.0f}")
        copy_before(size, raw.execute, 30, 7)
        raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        measure_panels(size, SQLITE, lambda sql: raw.execute(sql).fetchall(), figures)


def measure_postgresql(size: Size, path: Path, url: str, figures: Figures) -> None:
    """Copy the samples into a server, and measure there."""
    open_store(url, NODE).close()
    target = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as server, contextlib.closing(sqlite3.connect(path)) as source:
        copy_tables(size, source, server)
        with opened(url) as store:
            measure_folding(store, size, figures)
        copy_before(size, lambda sql: server.execute(sql.encode()), 7)
        figures.add(size.week, f"{sample_bytes(server) / 1e6:.0f}")
        copy_before(size, lambda sql: server.execute(sql.encode()), 30, 7)
        server.execute("VACUUM ANALYZE")
        measure_panels(size, POSTGRESQL, partial(fetched, server), figures)
        add_nodes(size, server)
        measure_fleet(size, server, figures)
    measure_writing(url, size, figures)


def measure_writing(url: str, size: Size, figures: Figures) -> None:
    """Write to the end of the history, and take from its beginning."""
    with opened(url) as store:
        measure_commits(store, size, figures)
        measure_deleting(store, figures)


@contextlib.contextmanager
def opened(url: str) -> Iterator[SqlStore]:
    """Open the store of the node, with the retention of a daemon that nobody configured."""
    store = open_store(url, NODE, Retention())
    yield store
    store.close()


# ---- filling


def fill(size: Size, url: str) -> None:
    """Record the raw samples, and fold all but their last hour."""
    count = size.raw_hours * HOUR_S // SWEEP_S
    with opened(url) as store:
        for done, sweep in enumerate(sweeps(node_devices(size.gpus), T0, count)):
            store.record(sweep)
            if done % 12 == 0:
                store.flush_samples()
            if done % 720 == 0:
                progress(f"samples: hour {done // 720} of {size.raw_hours}")
        store.flush_samples()
        progress("folding all hours but the last")
        store.roll_up(size.end - HOUR_S + 30)


def copy_tables(size: Size, source: sqlite3.Connection, server: psycopg.Connection) -> None:
    """Copy raw samples, and what is folded of them but the last hour."""
    for series in SERIES.values():
        for table in (series.raw, *series.folded.values()):
            progress(f"copying {table.name}")
            columns = ", ".join(column.name for column in table.columns)
            until = size.end if table is series.raw else size.end - HOUR_S
            rows = source.execute(f"SELECT {columns} FROM {table.name} WHERE ts BETWEEN {T0} AND {until - 1}")  # noqa: S608
            with server.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
    marks = source.execute("SELECT node, series, bucket_s FROM rolled_up").fetchall()
    for mark in marks:
        server.execute("INSERT INTO rolled_up VALUES (%s, %s, %s, %s)", (*mark, size.end - HOUR_S))


def copy_before(size: Size, run: Callable[[str], object], days: int, done_days: int = 0) -> None:
    """Put copies of a day's folded rows before the beginning, so that they span so many days."""
    step_s = min(size.raw_hours, 24) * HOUR_S
    filled_s = size.raw_hours * HOUR_S
    first, last = (max(0, (span * DAY_S - filled_s) // step_s) for span in (done_days, days))
    for series in SERIES.values():
        for table in series.folded.values():
            progress(f"{days} days of {table.name}")
            columns = ", ".join(column.name for column in table.columns)
            values = ", ".join(f"ts - k * {step_s}" if column.name == "ts" else column.name for column in table.columns)
            run(
                f"INSERT INTO {table.name} ({columns}) WITH RECURSIVE n(k) AS (SELECT {last} UNION ALL "  # noqa: S608
                f"SELECT k - 1 FROM n WHERE k > {first + 1}) SELECT {values} FROM n, {table.name} "
                f"WHERE node = '{NODE}' AND ts >= {T0} AND ts < {T0 + step_s} ORDER BY 2"
            )


def add_nodes(size: Size, server: psycopg.Connection) -> None:
    """Give the hours of this node's GPUs to so many nodes."""
    table = SERIES[GpuSample].folded[HOUR_S]
    columns = ", ".join(column.name for column in table.columns)
    values = columns.replace("node", "'gpu-node-' || (1000 + k)", 1)
    progress(f"{size.nodes} nodes")
    server.execute(
        f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM {table.name}, "  # noqa: S608
        f"generate_series(2, {size.nodes}) AS k WHERE node = '{NODE}' ORDER BY ts".encode()
    )
    server.execute("VACUUM ANALYZE gpu_sample_1h")


def progress(doing: str) -> None:
    """Tell on stderr what takes so long."""
    print(f"\r{doing:<70}", end="", file=sys.stderr, flush=True)


# ---- measuring


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return milliseconds of the clock and of this process's CPU."""
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - begin_s), 1000 * (time.process_time() - begin_cpu_s)


def measure_folding(store: SqlStore, size: Size, figures: Figures) -> None:
    """Fold the last hour as a daemon does: minute by minute, and then the hour."""
    ends = range(size.end - HOUR_S + MINUTE_S, size.end, MINUTE_S)
    figures.add("folding a minute, ms (CPU)", shown([timed(partial(store.roll_up, end + 31)) for end in ends]))
    last = timed(partial(store.roll_up, size.end + 31))
    figures.add("folding an hour and its last minute, ms (CPU)", shown([last]))


def measure_panels(size: Size, dialect: Dialect, run: Run, figures: Figures) -> None:
    """Run every graph of the board of a node over several spans of time."""
    graphs = [panel for panel in node_board(dialect).panels if isinstance(panel, Panel) and panel.time_series]
    for span_s, interval_s in INTERVALS_S.items():
        medians = {}
        for panel in graphs:
            progress(f"{panel.title}, {span_s // HOUR_S} h")
            sql = expanded(panel.sql, size.end - span_s, size.end, interval_s)
            medians[panel.title] = statistics.median(timed(partial(run, sql))[0] for _ in range(REPEATS))
        slowest = max(medians, key=lambda title: medians[title])
        span = f"{span_s // DAY_S} days" if span_s > DAY_S else f"{span_s // HOUR_S} h"
        figures.add(f"a panel of {span}, median of {len(medians)}, ms", f"{statistics.median(medians.values()):.1f}")
        figures.add(f"a panel of {span}, the slowest, ms", f"{medians[slowest]:.1f}")
        progress(f"slowest: {slowest}\n")


def measure_fleet(size: Size, server: psycopg.Connection, figures: Figures) -> None:
    """Run every panel of the board of all nodes that reads samples over 30 days."""
    medians = []
    for panel in fleet_board().panels:
        if isinstance(panel, Panel) and "gpu_sample_1h" in panel.sql:
            sql = expanded(panel.sql, size.end - 30 * DAY_S, size.end, 1800)
            asked = partial(fetched, server, sql)
            medians.append(statistics.median(timed(asked)[0] for _ in range(REPEATS)))
            progress(f"{panel.title} of all nodes: {medians[-1]:.0f} ms\n")
    figures.add(f"a panel of all nodes, 30 days of {size.nodes * size.gpus} GPUs, ms", f"{max(medians):.1f}")


def fetched(server: psycopg.Connection, sql: str) -> list[Any]:
    """Return all rows of a query."""
    return server.execute(sql.encode()).fetchall()


def measure_commits(store: SqlStore, size: Size, figures: Figures) -> None:
    """Record and commit sweeps after the end of the history."""
    for title, gpus, alone in (
        (f"a sweep of {size.gpus} GPUs and the host, committed, ms (CPU)", size.gpus, True),
        (f"a sweep of {size.gpus} GPUs and all of their node, ms (CPU)", size.gpus, False),
        ("a sweep of 64 GPUs and the host, committed, ms (CPU)", 64, True),
    ):
        devices = [one for one in node_devices(gpus) if not alone or one.kind in (GpuSample, HostSample)]
        taken = [timed(partial(commit, store, sweep)) for sweep in sweeps(devices, size.end, 240)]
        figures.add(title, shown(taken[40:]))


def commit(store: SqlStore, sweep: Sequence[AnySample]) -> None:
    """Do what the daemon does every five seconds."""
    store.record(sweep)
    store.flush_samples()


def measure_deleting(store: SqlStore, figures: Figures) -> None:
    """Delete the oldest hour of samples, then the next; each is an hour's work of the daemon."""
    kept_s = Retention().raw_s
    store.prune(T0 + kept_s)
    hours = [timed(partial(store.prune, T0 + kept_s + hour * HOUR_S)) for hour in range(1, 4)]
    figures.add("deleting an hour of samples, ms (CPU)", shown(hours))


def shown(taken: list[tuple[float, float]]) -> str:
    """Return the medians of clock and CPU."""
    clock, cpu = (statistics.median(values) for values in zip(*taken, strict=True))
    return f"{clock:.2f} ({cpu:.2f})" if clock < 10 else f"{clock:.0f} ({cpu:.0f})"


def sample_bytes(server: psycopg.Connection) -> int:
    """Return what the tables of samples and their indexes take."""
    names = [table.name for series in SERIES.values() for table in (series.raw, *series.folded.values())]
    found = server.execute(
        "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", (names,)
    )
    return int((found.fetchone() or (0,))[0])


def expanded(sql: str, since: int, until: int, interval_s: int) -> str:
    """Put in the variables as Grafana does."""
    variables = {
        "${node:sqlstring}": f"'{NODE}'", "$__interval_ms": str(interval_s * 1000), "$__from": str(since * 1000),
        "$__to": str(until * 1000),
    }  # fmt: skip
    for variable, value in variables.items():
        sql = sql.replace(variable, value)
    return sql


if __name__ == "__main__":
    main(sys.argv[1:])
