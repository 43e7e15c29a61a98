"""Samples on their way to the database: a bounded buffer, and the rows it is written as."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from dcdaemon.core.samples import GpuSample, HostReading
from dcdaemon.store.series import DISK, FILESYSTEM, GPU, HOST, NET, Series
from dcdaemon.store.upsert import upsert

_GPU_FIELDS = tuple(column.name for column in GPU.raw.columns if column.name not in ("node", "ts"))


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one call of record() brought."""

    gpus: tuple[GpuSample, ...]
    host: HostReading | None

    def __len__(self) -> int:
        """Count the readings in it."""
        return len(self.gpus) + (self.host is not None)


@dataclass(slots=True)
class SampleBuffer:
    """Keeps the newest sweeps while the database is slow or away, and counts the readings it had to drop."""

    capacity: int
    dropped: int = 0
    _sweeps: deque[Sweep] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, sweep: Sweep) -> None:
        """Keep a sweep, at the cost of the oldest when there is no room."""
        with self._lock:
            self._sweeps.append(sweep)
            self._make_room()

    def take(self) -> list[Sweep]:
        """Empty the buffer."""
        with self._lock:
            sweeps = list(self._sweeps)
            self._sweeps.clear()
            return sweeps

    def put_back(self, sweeps: Iterable[Sweep]) -> None:
        """Return sweeps that could not be written to the old end of the buffer."""
        with self._lock:
            self._sweeps.extendleft(reversed(list(sweeps)))
            self._make_room()

    def _make_room(self) -> None:
        while len(self._sweeps) > self.capacity:
            self.dropped += len(self._sweeps.popleft())


def write(connection: Connection, node: str, sweeps: Sequence[Sweep]) -> None:
    """Write sweeps as rows; a second reading of a device in the same second replaces the first."""
    hosts = [sweep.host for sweep in sweeps if sweep.host is not None]
    _insert(connection, GPU, node, [_gpu_fields(sample) for sweep in sweeps for sample in sweep.gpus])
    _insert(connection, HOST, node, [asdict(reading.host) for reading in hosts])
    _insert(connection, DISK, node, [asdict(disk) for reading in hosts for disk in reading.disks])
    _insert(connection, FILESYSTEM, node, [asdict(mount) for reading in hosts for mount in reading.filesystems])
    _insert(connection, NET, node, [asdict(net) for reading in hosts for net in reading.nets])


def _gpu_fields(sample: GpuSample) -> dict[str, Any]:
    # Not asdict(): it would copy the list of processes, which is not stored.
    return {"at": sample.at} | {name: getattr(sample, name) for name in _GPU_FIELDS}


def _insert(connection: Connection, series: Series, node: str, readings: Sequence[dict[str, Any]]) -> None:
    if readings:
        rows = [{"node": node, "ts": int(fields.pop("at")), **fields} for fields in readings]
        connection.execute(upsert(connection, series.raw), rows)


def gpu_samples(connection: Connection, node: str, gpu: int, since: float, until: float) -> list[GpuSample]:
    """Return the stored samples of one GPU, oldest first; whole seconds, without their processes."""
    raw = GPU.raw
    statement = (
        select(raw.c.ts, *(raw.c[name] for name in _GPU_FIELDS))
        .where(raw.c.node == node, raw.c.gpu == gpu, raw.c.ts.between(since, until))
        .order_by(raw.c.ts)
    )
    return [
        GpuSample(at=float(row.ts), monotonic_s=0.0, **{name: getattr(row, name) for name in _GPU_FIELDS})
        for row in connection.execute(statement)
    ]
