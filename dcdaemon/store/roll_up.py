"""Fold closed minutes and hours of samples: read beside the writers, fold here, write with the watermark."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from dcdaemon.store.fold import Counter, Folding, Gauge, Layout, Row
from dcdaemon.store.schema import rolled_up
from dcdaemon.store.series import HOUR_S, Series
from dcdaemon.store.upsert import bind, put_rows, upsert

#: A bucket is closed when no sample can come any more: two sweeps of 5 s, and the flush after them.
LATE_S = 30
#: Samples read at once, and minutes written at once, span at most this: 4,000 wide rows with 64 GPUs.
_CHUNK_S = 300
#: A counter's growth is told from the sample before; after a longer silence that growth belongs to no bucket.
_LOOK_BACK_S = HOUR_S
#: Where that sample nearly always is, and with it the last known value of each counter.
_NEAR_S = 30


@dataclass(frozen=True, slots=True)
class Task:
    """The next closed buckets of one series to fold: from `start` up to `stop`."""

    node: str
    series: Series
    bucket_s: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Folded:
    """Rows to write, and how far the series is folded then."""

    task: Task
    rows: Sequence[Row]


Marks = dict[tuple[str, int], int]  # table of samples and bucket -> folded until


def marks(connection: Connection, node: str) -> Marks:
    """Return up to where each series is folded; what is missing was never folded."""
    statement = select(rolled_up.c.series, rolled_up.c.bucket_s, rolled_up.c.until).where(rolled_up.c.node == node)
    return {(series, bucket_s): until for series, bucket_s, until in connection.execute(statement)}


def too_far(done: Marks, now: float) -> Marks:
    """Return where watermarks that lie ahead of the clock belong: it was set back, and new samples come below them."""
    return {(series, bucket_s): _closed(bucket_s, now) for (series, bucket_s), until in done.items() if until > now}


def wind_back(connection: Connection, *, node: str, places: Marks) -> None:
    """Move watermarks to earlier places; folding goes on from there."""
    for (series, bucket_s), until in places.items():
        _move(connection, node, series, bucket_s, until)


def _move(connection: Connection, node: str, series: str, bucket_s: int, until: int) -> None:
    mark = {"node": node, "series": series, "bucket_s": bucket_s, "until": until}
    connection.execute(upsert(connection, rolled_up), mark)


def _closed(bucket_s: int, now: float) -> int:
    return int(now - LATE_S) // bucket_s * bucket_s


def next_task(
    connection: Connection, *, node: str, series: Series, bucket_s: int, folded_until: int, now: float
) -> Task | None:
    """Return the oldest closed samples that are not folded; None when there are none."""
    closed = _closed(bucket_s, now)
    if closed <= folded_until:
        return None
    ts = series.raw.c.ts
    waiting = select(func.min(ts)).where(series.raw.c.node == node, ts >= folded_until, ts < closed)
    oldest: int | None = connection.execute(waiting).scalar_one()
    if oldest is None:
        return None
    start = oldest // bucket_s * bucket_s
    return Task(node, series, bucket_s, start, min(start + max(_CHUNK_S, bucket_s), closed))


def fold(connection: Connection, task: Task) -> Folded:
    """Read and fold; nobody waits for it."""
    folding = Folding(_layout(task.series), task.bucket_s)
    for start in range(task.start, task.stop, _CHUNK_S):
        chunk = _read(connection, task, start, min(start + _CHUNK_S, task.stop))
        if task.series.counters:
            _find_beginnings(connection, task, folding, chunk, start)
        folding.add(chunk)
    return Folded(task, [(task.node, *row) for row in folding.rows()])


def write_folded(connection: Connection, folded: Folded) -> int:
    """Write what was folded and move the watermark; doing so again writes the same rows again."""
    task = folded.task
    put_rows(connection, task.series.folded[task.bucket_s], folded.rows)
    _move(connection, task.node, task.series.raw.name, task.bucket_s, task.stop)
    return len(folded.rows)


def _find_beginnings(connection: Connection, task: Task, folding: Folding, chunk: Sequence[Row], start: int) -> None:
    """Find what came before for devices met for the first time: moments ago, else up to an hour ago."""
    unseen = folding.unseen(chunk)
    if not unseen:
        return
    before: dict[Row, list[Row]] = {}
    for row in _read(connection, task, start - _NEAR_S, start):
        before.setdefault(row[1 : 1 + len(task.series.devices)], []).append(row)
    for device in unseen:
        rows = before.get(device) or _last_before(connection, task, device, start)
        if rows:
            folding.begin(device, rows)


def _read(connection: Connection, task: Task, start: int, stop: int) -> list[Row]:
    found = connection.exec_driver_sql(_query(connection.dialect.name, task.series), (task.node, start, stop))
    return [tuple(row) for row in found]


def _last_before(connection: Connection, task: Task, device: Row, start: int) -> list[Row]:
    wanted = (task.node, start - _LOOK_BACK_S, start, *device)
    found = connection.exec_driver_sql(_last_query(connection.dialect.name, task.series), wanted)
    return [tuple(row) for row in found]


@functools.cache
def _query(dialect: str, series: Series) -> str:
    """SELECT rows in the order of their time; written out, for it runs for every series each minute."""
    columns = ["ts", *series.devices, *series.folded_fields, *(["simulated"] if series.simulated else [])]
    return bind(
        dialect,
        f"SELECT {', '.join(columns)} FROM {series.raw.name} WHERE node = ? AND ts >= ? AND ts < ? ORDER BY ts",  # noqa: S608  names are ours
    )


@functools.cache
def _last_query(dialect: str, series: Series) -> str:
    device = bind(dialect, "".join(f" AND {name} = ?" for name in series.devices))
    return _query(dialect, series).replace(" ORDER BY ts", f"{device} ORDER BY ts DESC LIMIT 1")


@functools.cache
def _layout(series: Series) -> Layout:
    folds = tuple(Counter if name in series.counters else Gauge for name in series.folded_fields)
    return Layout(len(series.devices), folds, series.simulated)
