"""The sample tables: one wide row per device and time, and their twins by minute and by hour."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, Table, Text

from dcdaemon.store.schema import metadata

MINUTE_S = 60
HOUR_S = 3600
_SUFFIXES = {MINUTE_S: "1m", HOUR_S: "1h"}

Columns = Mapping[str, Any]  # name -> SQLAlchemy type


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One kind of sample: what varies (gauges), what only grows (counters), and where both are folded to."""

    raw: Table
    device: str | None
    gauges: tuple[str, ...]
    counters: tuple[str, ...]
    folded: Mapping[int, Table]

    @property
    def simulated(self) -> bool:
        """Tell whether the rows say if their device is simulated."""
        return "simulated" in self.raw.c

    @property
    def keys(self) -> tuple[str, ...]:
        """Name the key; time stands before the device, so that rows are appended and pruned in order."""
        return ("node", "ts", self.device) if self.device else ("node", "ts")


def _series(name: str, device: Columns, gauges: Columns, counters: Columns, more: Columns) -> Series:
    raw_columns = [Column(field, kind) for field, kind in (*gauges.items(), *counters.items(), *more.items())]
    raw = Table(name, metadata, *_key(device), *raw_columns, sqlite_with_rowid=False)
    folded = {}
    for bucket_s, suffix in _SUFFIXES.items():
        columns = [Column("n", Integer, nullable=False), *_folded_columns(gauges, counters)]
        if "simulated" in more:
            columns.append(Column("simulated", Boolean))
        folded[bucket_s] = Table(f"{name}_{suffix}", metadata, *_key(device), *columns, sqlite_with_rowid=False)
    return Series(raw, next(iter(device), None), tuple(gauges), tuple(counters), folded)


def _key(device: Columns) -> Iterator[Column[Any]]:
    yield Column("node", Text, primary_key=True)
    yield Column("ts", BigInteger, primary_key=True, autoincrement=False)
    for name, kind in device.items():
        yield Column(name, kind, primary_key=True, autoincrement=False)


def _folded_columns(gauges: Columns, counters: Columns) -> Iterator[Column[Any]]:
    for name, kind in gauges.items():
        yield Column(f"{name}_avg", Double)
        yield Column(f"{name}_min", kind)
        yield Column(f"{name}_max", kind)
    for name, kind in counters.items():
        yield Column(f"{name}_delta", kind)


GPU = _series(
    "gpu_sample",
    device={"gpu": Integer},
    gauges={
        "util_ratio": Double,
        "mem_bw_busy_ratio": Double,
        "mem_used_bytes": BigInteger,
        "power_w": Double,
        "temp_c": Double,
        "sm_clock_hz": BigInteger,
        "mem_clock_hz": BigInteger,
    },
    counters={"energy_counter_mj": BigInteger},
    more={"mem_total_bytes": BigInteger, "power_limit_w": Double, "simulated": Boolean, "error": Text},
)

HOST = _series(
    "host_sample",
    device={},
    gauges={
        "cpu_util_ratio": Double,
        "load_1m": Double,
        "mem_total_bytes": BigInteger,
        "mem_available_bytes": BigInteger,
        "swap_used_bytes": BigInteger,
        "psi_cpu_some_ratio": Double,
        "psi_mem_some_ratio": Double,
        "psi_io_some_ratio": Double,
    },
    counters={},
    more={},
)

DISK = _series(
    "disk_sample",
    device={"device": Text},
    gauges={},
    counters={
        "read_bytes": BigInteger,
        "written_bytes": BigInteger,
        "reads": BigInteger,
        "writes": BigInteger,
        "busy_s": Double,
    },
    more={},
)

FILESYSTEM = _series(
    "filesystem_sample",
    device={"mount": Text},
    gauges={"size_bytes": BigInteger, "available_bytes": BigInteger, "files_free": BigInteger},
    counters={},
    more={"fstype": Text, "read_only": Boolean, "error": Text},
)

NET = _series(
    "net_sample",
    device={"interface": Text},
    gauges={},
    counters={
        "received_bytes": BigInteger,
        "sent_bytes": BigInteger,
        "errors_in": BigInteger,
        "errors_out": BigInteger,
        "drops_in": BigInteger,
        "drops_out": BigInteger,
    },
    more={"up": Boolean, "speed_bps": BigInteger},
)

SERIES = (GPU, HOST, DISK, FILESYSTEM, NET)
