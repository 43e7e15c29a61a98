"""The sample tables, made from the sample classes: one wide row per device and time, twins by minute and by hour."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from sqlalchemy import REAL, BigInteger, Boolean, Column, Double, Index, Integer, Table, Text
from sqlalchemy.types import TypeEngine

from dcdaemon.core.metric import Kind, metrics_of
from dcdaemon.core.samples import KINDS, GpuSample
from dcdaemon.store.schema import metadata

MINUTE_S = 60
HOUR_S = 3600
_SUFFIXES = {MINUTE_S: "1m", HOUR_S: "1h"}

#: Fields that are stored beside the metrics, where a sample has them.
_BESIDE = ("simulated", "error")
#: Seven digits are more than any sensor has; SQLite has no shorter number with decimals.
GAUGE: TypeEngine[Any] = Double().with_variant(REAL(), "postgresql")
_TYPES: Mapping[type, Any] = {int: BigInteger(), float: Double(), str: Text(), bool: Boolean()}


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One kind of sample: what varies (gauges), what only grows (counters), and where both are folded to."""

    sample: type
    raw: Table
    gauges: tuple[str, ...]
    counters: tuple[str, ...]
    folded: Mapping[int, Table]

    @property
    def simulated(self) -> bool:
        """Tell whether the rows say if their device is simulated."""
        return "simulated" in self.raw.c

    @property
    def devices(self) -> tuple[str, ...]:
        """Name the columns that tell the devices of a node apart."""
        return self.keys[2:]

    @property
    def keys(self) -> tuple[str, ...]:
        """Name the key; time stands before the device, so that rows are appended and pruned in order."""
        return tuple(column.name for column in self.raw.primary_key)

    @property
    def folded_fields(self) -> tuple[str, ...]:
        """Name the gauges and counters, in the order of the folded tables."""
        return tuple(one.attribute for one in metrics_of(self.sample) if one.kind is not Kind.FACT)

    @property
    def fields(self) -> tuple[str, ...]:
        """Name the columns that are fields of the sample: all but node and time."""
        return tuple(column.name for column in self.raw.columns)[2:]


def _series(sample: Any) -> Series:
    name = f"{sample.KIND}_sample"
    types = {field.name: _scalar(field.type) for field in fields(sample)}
    raw = Table(name, metadata, *_key(sample, types), *_raw_columns(sample, types), sqlite_with_rowid=False)
    folded = {
        bucket_s: Table(
            f"{name}_{suffix}", metadata, *_key(sample, types), *_folded_columns(sample, types), sqlite_with_rowid=False
        )
        for bucket_s, suffix in _SUFFIXES.items()
    }
    of_kind = {kind: tuple(one.attribute for one in metrics_of(sample) if one.kind is kind) for kind in Kind}
    return Series(sample, raw, of_kind[Kind.GAUGE], of_kind[Kind.COUNTER], folded)


def _scalar(annotation: Any) -> type:
    """Return int for `int | None`; what has no column of its own, a list of processes, stands for itself."""
    named: type = next((one for one in get_args(annotation) if one in _TYPES), annotation)
    return named


def _key(sample: Any, types: Mapping[str, type]) -> Iterator[Column[Any]]:
    yield Column("node", Text, primary_key=True)
    yield Column("ts", BigInteger, primary_key=True, autoincrement=False)
    for name in sample.KEYS:
        yield Column(name, Integer if types[name] is int else Text, primary_key=True, autoincrement=False)


def _raw_columns(sample: Any, types: Mapping[str, type]) -> Iterator[Column[Any]]:
    described = {one.attribute: one.kind for one in metrics_of(sample)}
    for name, kind in described.items():
        yield Column(name, _type_of(types[name], kind))
    for name in _BESIDE:
        if name in types and name not in described:
            yield Column(name, _TYPES[types[name]])


def _folded_columns(sample: Any, types: Mapping[str, type]) -> Iterator[Column[Any]]:
    yield Column("n", Integer, nullable=False)
    for one in metrics_of(sample):
        kind = _type_of(types[one.attribute], one.kind)
        if one.kind is Kind.GAUGE:
            yield Column(f"{one.attribute}_avg", GAUGE)
            yield Column(f"{one.attribute}_min", kind)
            yield Column(f"{one.attribute}_max", kind)
        elif one.kind is Kind.COUNTER:
            yield Column(f"{one.attribute}_delta", kind)
    if "simulated" in types:
        yield Column("simulated", Boolean)


def _type_of(scalar: type, kind: Kind) -> Any:
    return GAUGE if kind is Kind.GAUGE and scalar is float else _TYPES[scalar]


SERIES: Mapping[type, Series] = {sample: _series(sample) for sample in KINDS}

#: What the board of all nodes reads: a month of a thousand GPUs lies in some 60 MB of index instead of 600 of table.
FLEET_COLUMNS = (
    "node", "util_ratio_avg", "sm_active_ratio_avg", "tensor_active_ratio_avg", "power_w_avg", "mem_used_bytes_avg",
)  # fmt: skip
_GPU_HOURS = SERIES[GpuSample].folded[HOUR_S]
Index("gpu_sample_1h_fleet", _GPU_HOURS.c.ts, postgresql_include=FLEET_COLUMNS).ddl_if(dialect="postgresql")
