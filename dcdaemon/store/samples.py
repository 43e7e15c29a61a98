"""Samples as rows: what each kind is written as, and how GPU samples are read back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.samples import AnySample, GpuSample
from dcdaemon.store.events import storable
from dcdaemon.store.faults import unavailable
from dcdaemon.store.sample_buffer import Rows, Sweep
from dcdaemon.store.series import SERIES, Series
from dcdaemon.store.upsert import put_rows

#: What PostgreSQL's `real` holds.
_MOST = 3.4e38
_GPU = SERIES[GpuSample]
_Row = Callable[[Any], tuple[Any, ...]]
#: No asdict(), no SQLAlchemy for each row: samples are most of what the daemon ever writes.
_VALUES: dict[type, _Row] = {sample: attrgetter("at", *series.fields) for sample, series in SERIES.items()}


def pack(node: str, samples: Sequence[AnySample]) -> Sweep:
    """Make the rows of samples; `ts` is the whole second."""
    rows: Rows = {}
    for sample in samples:
        at, *values = _VALUES[type(sample)](sample)
        rows.setdefault(type(sample), []).append((node, int(at), *values))
    return Sweep.of(rows, max((sample.at for sample in samples), default=0.0))


def write(connection: Connection, sweeps: Sequence[Sweep]) -> None:
    """Write sweeps; a second reading of a device in the same second replaces the first."""
    together: Rows = {}
    for sweep in sweeps:
        for kind, rows in sweep.rows().items():
            together.setdefault(kind, []).extend(rows)
    for kind, rows in together.items():
        put_rows(connection, SERIES[kind].raw, rows)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value, or a whole row, that no table takes."""

    series: str
    device: tuple[Any, ...]
    at: float
    column: str | None
    value: str


def write_apart(connection: Connection, sweeps: Sequence[Sweep]) -> list[Misfit]:
    """Write every row by itself and leave out what cannot be written; return what that was."""
    misfits: list[Misfit] = []
    for sweep in sweeps:
        for kind, rows in sweep.rows().items():
            for row in rows:
                misfits += _write_one(connection, SERIES[kind], row)
    return misfits


def _write_one(connection: Connection, series: Series, row: tuple[Any, ...]) -> list[Misfit]:
    device = row[2 : 2 + len(series.devices)]
    mended = tuple(_fitting(value) for value in row)
    misfits = [
        Misfit(series.raw.name, device, row[1], column.name, str(before)[:80])
        for column, before, after in zip(series.raw.columns, row, mended, strict=True)
        if after is None and before is not None
    ]
    try:
        with connection.begin_nested():
            put_rows(connection, series.raw, [mended])
    except (DBAPIError, ValueError, TypeError, OverflowError) as error:
        if unavailable(error, "") is not None:
            raise
        misfits.append(Misfit(series.raw.name, device, row[1], None, str(error)[:200]))
    return misfits


def _fitting(value: Any) -> Any:
    """Return the value as both databases take it, None for one that neither has room for."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if -_MOST < value < _MOST else None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    return None


def gpu_samples(connection: Connection, node: str, gpu: int, since: float, until: float) -> list[GpuSample]:
    """Return the stored samples of one GPU, oldest first; whole seconds, without their processes."""
    raw = _GPU.raw
    statement = (
        select(raw.c.ts, *(raw.c[name] for name in _GPU.fields))
        .where(raw.c.node == node, raw.c.gpu == gpu, raw.c.ts.between(since, until))
        .order_by(raw.c.ts)
    )
    return [
        GpuSample(float(ts), 0.0, **dict(zip(_GPU.fields, values, strict=True)))
        for ts, *values in connection.execute(statement)
    ]
