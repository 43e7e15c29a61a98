"""Samples on their way to the database: they wait in memory, packed, while it is slow or away."""

import pickle
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

#: Rows that wait, by the class of their samples.
Rows = dict[type, list[tuple[Any, ...]]]
#: So much is written in one transaction at most: unpacked it takes some ten times the room.
_SLICE_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one call of record() brought, as bytes: a fifth of the room, and room is counted exactly."""

    packed: bytes
    readings: int
    at: float

    @classmethod
    def of(cls, rows: Rows, at: float) -> "Sweep":
        """Pack the rows of a sweep whose newest reading is of this time."""
        return cls(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), sum(map(len, rows.values())), at)

    def rows(self) -> Rows:
        """Unpack it."""
        rows: Rows = pickle.loads(self.packed)  # noqa: S301  packed above, never outside this process
        return rows


@dataclass(frozen=True, slots=True)
class Loss:
    """Readings that were dropped since the last time somebody asked, and the times of their sweeps."""

    readings: int
    from_at: float
    to_at: float


@dataclass(slots=True)
class SampleBuffer:
    """Keeps the newest sweeps that fit in so many bytes, and counts the readings it had to drop."""

    capacity_bytes: int
    dropped: int = 0
    _bytes: int = 0
    _sweeps: deque[Sweep] = field(default_factory=deque)
    _taken: list[Sweep] = field(default_factory=list)
    _loss: Loss | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, sweep: Sweep) -> None:
        """Keep a sweep, at the cost of the oldest when there is no room."""
        with self._lock:
            self._sweeps.append(sweep)
            self._bytes += len(sweep.packed)
            self._make_room()

    def take(self) -> list[Sweep]:
        """Take out the oldest, as much as is one transaction; `written` or `put_back` follows."""
        room = _SLICE_BYTES
        with self._lock:
            self._taken = []
            while self._sweeps and (not self._taken or len(self._sweeps[0].packed) <= room):
                self._taken.append(self._sweeps.popleft())
                room -= len(self._taken[-1].packed)
                self._bytes -= len(self._taken[-1].packed)
            return self._taken

    def written(self) -> None:
        """Forget what was taken out."""
        with self._lock:
            self._taken = []

    def put_back(self) -> None:
        """Return what was taken out to the old end of the buffer: it could not be written."""
        with self._lock:
            self._sweeps.extendleft(reversed(self._taken))
            self._bytes += sum(len(sweep.packed) for sweep in self._taken)
            self._taken = []
            self._make_room()

    def oldest_at(self) -> float | None:
        """Return the time of the oldest sweep that is not written; None when all are."""
        with self._lock:
            waiting = self._taken or self._sweeps
            return waiting[0].at if waiting else None

    def loss(self) -> Loss | None:
        """Return what was dropped since the last call."""
        with self._lock:
            loss, self._loss = self._loss, None
            return loss

    def _make_room(self) -> None:
        while self._bytes > self.capacity_bytes and self._sweeps:
            oldest = self._sweeps.popleft()
            self._bytes -= len(oldest.packed)
            self.dropped += oldest.readings
            before = self._loss or Loss(0, oldest.at, oldest.at)
            self._loss = Loss(before.readings + oldest.readings, before.from_at, oldest.at)
