"""Fold closed minutes and hours of samples: mean and range of gauges, growth of counters."""

import functools
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Subquery,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)

from dcdaemon.store.schema import rolled_up
from dcdaemon.store.series import HOUR_S, Series
from dcdaemon.store.upsert import insert_into, upsert

#: A bucket is closed when no sample can come any more: two sweeps of 5 s, and the flush after them.
LATE_S = 30
#: Samples folded in one transaction span at most this.
_SLICE_S = HOUR_S
#: A counter's growth is told from the sample before; after a longer silence that growth belongs to no bucket.
_LOOK_BACK_S = HOUR_S


def fold_slice(connection: Connection, *, node: str, series: Series, bucket_s: int, now: float) -> int | None:
    """Fold the next closed slice and move the watermark; return rows written, None when nothing is left."""
    closed = int(now - LATE_S) // bucket_s * bucket_s
    oldest = _oldest(connection, node, series, folded_until(connection, node, series, bucket_s), closed)
    if oldest is None:
        return None
    start = oldest // bucket_s * bucket_s
    stop = min(start + _SLICE_S, closed)
    span = {"its_node": node, "start": start, "stop": stop, "look_back": start - _LOOK_BACK_S}
    written = connection.execute(_fold(connection.dialect.name, series, bucket_s), span).rowcount
    mark = {"node": node, "series": series.raw.name, "bucket_s": bucket_s, "until": stop}
    connection.execute(upsert(connection, rolled_up), mark)
    return written


def folded_until(connection: Connection, node: str, series: Series, bucket_s: int) -> int:
    """Return the time before which everything is folded; 0 when nothing is."""
    statement = select(rolled_up.c.until).where(
        rolled_up.c.node == node, rolled_up.c.series == series.raw.name, rolled_up.c.bucket_s == bucket_s
    )
    return connection.execute(statement).scalar_one_or_none() or 0


def _oldest(connection: Connection, node: str, series: Series, start: int, stop: int) -> int | None:
    ts = series.raw.c.ts
    statement = select(func.min(ts)).where(series.raw.c.node == node, ts >= start, ts < stop)
    oldest: int | None = connection.execute(statement).scalar_one_or_none()
    return oldest


@functools.cache
def _fold(dialect: str, series: Series, bucket_s: int) -> Insert:
    """INSERT INTO folded SELECT ... GROUP BY bucket; folding again writes the same rows again."""
    rows = _with_growth(series)
    columns = _folded_columns(series, rows, bucket_s)
    keys = [columns[name] for name in series.keys]
    grouped = select(*(column.label(name) for name, column in columns.items()))
    grouped = grouped.where(rows.c.ts >= bindparam("start")).group_by(*keys)
    insert = insert_into(dialect, series.folded[bucket_s]).from_select(list(columns), grouped)
    changed = {name: insert.excluded[name] for name in columns if name not in series.keys}
    folded: Insert = insert.on_conflict_do_update(index_elements=list(series.keys), set_=changed)
    return folded.execution_options(preserve_rowcount=True)


def _with_growth(series: Series) -> Subquery:
    """Select the slice, and what came before it, with the growth of each counter since the row before."""
    raw = series.raw
    device = [raw.c[series.device]] if series.device else []
    growth = [_growth(raw.c[name], [raw.c.node, *device]).label(f"{name}_growth") for name in series.counters]
    return (
        select(raw, *growth)
        .where(
            raw.c.node == bindparam("its_node"),
            raw.c.ts >= bindparam("look_back"),
            raw.c.ts < bindparam("stop"),
        )
        .subquery()
    )


def _growth(counter: ColumnElement[Any], device: list[ColumnElement[Any]]) -> ColumnElement[Any]:
    # A counter that shrank was reset: it has grown from zero to what it shows.
    before = func.lag(counter).over(partition_by=device, order_by=literal_column("ts"))
    return case((counter < before, counter), else_=counter - before)


def _folded_columns(series: Series, rows: Subquery, bucket_s: int) -> dict[str, ColumnElement[Any]]:
    columns: dict[str, ColumnElement[Any]] = {name: rows.c[name] for name in series.keys}
    columns["ts"] = rows.c.ts - rows.c.ts % literal_column(str(bucket_s))
    columns["n"] = func.count()
    for name in series.gauges:
        columns[f"{name}_avg"] = func.avg(rows.c[name])
        columns[f"{name}_min"] = func.min(rows.c[name])
        columns[f"{name}_max"] = func.max(rows.c[name])
    for name in series.counters:
        columns[f"{name}_delta"] = func.sum(rows.c[f"{name}_growth"])
    if series.simulated:
        columns["simulated"] = func.max(cast(rows.c.simulated, Integer)) == literal_column("1")
    return columns
