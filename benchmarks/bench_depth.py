"""The same two figures with 10,000 jobs queued and 100,000 in the history, next to an empty node, in one run."""

import os
import sqlite3
from pathlib import Path

from benchmarks.bench_start import first_instruction_ms
from benchmarks.bench_throughput import jobs_per_second
from benchmarks.node import Node, percentile, running_node
from dcdaemon.core.job import JobSpec, JobState
from dcdaemon.core.ports import DAEMON, JobChange
from dcdaemon.store.sql_store import open_store

QUEUED = 10_000
HISTORY = 100_000
JOBS = 200
#: Above the queued jobs, as an urgent job would be; they wait for CPUs that one job keeps.
AHEAD = 90


def main() -> None:
    """Print both figures for both nodes, and how much worse the full one is."""
    with running_node() as node:
        empty = measure(node)
    with running_node(add_history) as node:
        fill_queue(node)
        full = measure(node)
    print(f"{'node':<40} {'start p50 ms':>12} {'start p99 ms':>12} {'jobs/s':>8}")
    for name, (p50, p99, rate) in (("empty", empty), (f"{QUEUED} queued, {HISTORY} in the history", full)):
        print(f"{name:<40} {p50:>12.1f} {p99:>12.1f} {rate:>8.0f}")
    print(f"{'ratio':<40} {full[0] / empty[0]:>12.2f} {full[1] / empty[1]:>12.2f} {empty[2] / full[2]:>8.2f}")


def measure(node: Node) -> tuple[float, float, float]:
    """Return p50 and p99 of the start latency in ms, and jobs per second."""
    first_instruction_ms(node, 20, priority=AHEAD)
    latencies = first_instruction_ms(node, JOBS, priority=AHEAD)
    return percentile(latencies, 0.5), percentile(latencies, 0.99), jobs_per_second(node, priority=AHEAD)


def fill_queue(node: Node) -> None:
    """Queue jobs of 80 shapes that all wait for the CPUs of one long job."""
    node.submit(["/bin/sleep", "3600"], cpus=1)
    for shape in range(80):
        limit_s = 3600.0 * (1 + shape // 8)
        node.submit(["/bin/true"], QUEUED // 80, gpus=1 + shape % 8, cpus=os.cpu_count(), limit_s=limit_s)


def add_history(state_dir: Path) -> None:
    """Put ended jobs into the database: one real row, copied."""
    path = state_dir / "dcdaemon.db"
    store = open_store(f"sqlite:///{path}", os.uname().nodename)
    spec = JobSpec(("/bin/true",), "/", 0, 0, "root", "old", "none", gpus=1)
    [job] = store.submit([spec], 1.0e9, DAEMON)
    ended = job.mark_starting(job.node, (0,), simulated=True).mark_ended(
        JobState.SUCCEEDED, 1.0e9 + 20, started_at=1.0e9 + 10, run_s=10.0, exit_code=0
    )
    starting = job.mark_starting(job.node, (0,), simulated=True)
    store.save([JobChange(job, starting, 1.0e9), JobChange(starting, ended, 1.0e9)])
    store.close()
    with sqlite3.connect(path) as database:
        for table, key in (("job", "id"), ("audit", "id")):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != key]
            names = ", ".join(columns)
            database.execute(
                f"INSERT INTO {table} ({names}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "  # noqa: S608
                f"WHERE i < {HISTORY}) SELECT {names} FROM n, (SELECT * FROM {table} LIMIT 1)"
            )
    database.close()


if __name__ == "__main__":
    main()
