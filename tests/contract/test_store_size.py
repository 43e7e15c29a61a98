"""A week of a busy node fits; one hour of it is written and folded for real, and the rest follows from that."""

import contextlib
import sqlite3
from pathlib import Path

from benchmarks.history_life import SWEEP_S, T0, node_devices, sweeps
from dcdaemon.store.sql_store import open_store

HOUR = 3600
MOST_MB = 400


def file_mb(path: Path) -> float:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size / 1e6


def test_a_week_of_eight_gpus_and_all_else_of_their_node_fits(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = open_store(sqlite_url, "gpu-node-017")
    empty_mb = file_mb(path)
    for number, sweep in enumerate(sweeps(node_devices(), T0, HOUR // SWEEP_S)):
        store.record(sweep)
        if number % 60 == 0:
            store.flush_samples()
    store.flush_samples()
    samples_mb = file_mb(path) - empty_mb
    store.roll_up(T0 + HOUR + 30)
    folded_mb = file_mb(path) - empty_mb - samples_mb
    store.close()
    assert samples_mb > 1 < folded_mb * 10, "nothing was written"
    assert 48 * samples_mb + 7 * 24 * folded_mb < MOST_MB
