"""Delete what has outlived its use, a slice at a time, so that nobody waits long for the turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, Connection, delete, func, select

from dcdaemon.store.roll_up import marks
from dcdaemon.store.schema import anomaly, event, gpu_time, report
from dcdaemon.store.series import HOUR_S, MINUTE_S, SERIES, Series

_DAY_S = 86400
#: Some 8,000 wide rows with 64 GPUs.
_RAW_SLICE_S = 600

#: Deletes the oldest slice, returns how many rows that were, None when nothing is left to delete.
DeleteSlice = Callable[[Connection], int | None]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long samples (as taken, by minute, by hour), events, reports and anomalies are kept; jobs stay.

    GPU time by hour is kept as long as samples by hour.
    """

    raw_s: float = 2 * _DAY_S
    minute_s: float = 30 * _DAY_S
    hour_s: float = 2 * 365 * _DAY_S
    record_s: float = 365 * _DAY_S


def expired(node: str, retention: Retention, now: float) -> Iterator[DeleteSlice]:
    """Yield one deletion for each table; call each until it returns None."""
    for series in SERIES.values():
        yield partial(_delete_raw, node, series, now - retention.raw_s)
        for bucket_s, kept_s in ((MINUTE_S, retention.minute_s), (HOUR_S, retention.hour_s)):
            ts = series.folded[bucket_s].c.ts
            yield partial(_delete_oldest, ts, node, now - kept_s, 60 * bucket_s)
    yield partial(_delete_oldest, gpu_time.c.hour, node, now - retention.hour_s, 60 * HOUR_S)
    yield partial(_delete_oldest, event.c.at, node, now - retention.record_s, _DAY_S)
    yield partial(_delete_oldest, report.c.at, node, now - retention.record_s, _DAY_S)
    yield partial(_delete_oldest, anomaly.c.cleared_at, node, now - retention.record_s, _DAY_S)


def _delete_raw(node: str, series: Series, before: float, connection: Connection) -> int | None:
    """Keep what is not folded yet, however old it is."""
    done = marks(connection, node)
    folded = min(done.get((series.raw.name, bucket_s), 0) for bucket_s in series.folded)
    return _delete_oldest(series.raw.c.ts, node, min(before, folded), _RAW_SLICE_S, connection)


def _delete_oldest(when: Column[Any], node: str, before: float, slice_s: float, connection: Connection) -> int | None:
    table = when.table
    of_node = table.c.node == node
    oldest = connection.execute(select(func.min(when)).where(of_node, when < before)).scalar_one_or_none()
    if oldest is None:
        return None
    end = min(oldest + slice_s, before)
    return connection.execute(delete(table).where(of_node, when < end)).rowcount
