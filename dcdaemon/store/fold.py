"""Fold samples of one device and one bucket of time: mean and range of gauges, growth of counters."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Values = Sequence[Any]  # one column over time, oldest first; None is unknown
Row = tuple[Any, ...]
Device = tuple[Any, ...]
_WHOLE = 1e6


@dataclass(slots=True)
class Gauge:
    """Mean and range so far."""

    known: int = 0
    total: float = 0
    low: Any = None
    high: Any = None

    def add(self, values: Values) -> None:
        """Take in later values; unknown ones count for nothing."""
        known = values if None not in values else [value for value in values if value is not None]
        if not known:
            return
        low, high = min(known), max(known)
        self.low = low if self.low is None or low < self.low else self.low
        self.high = high if self.high is None or high > self.high else self.high
        self.total += sum(known)
        self.known += len(known)

    def columns(self) -> Row:
        """Return avg, min and max."""
        if not self.known:
            return None, None, None
        mean = self.total / self.known
        # Of a million on, decimals say nothing, and SQLite keeps whole numbers in half the room.
        return (mean if mean < _WHOLE else float(round(mean))), self.low, self.high


@dataclass(slots=True)
class Counter:
    """Growth so far, from one known value to the next; `last` is the value to grow from."""

    last: Any = None
    grown: Any = None

    def add(self, values: Values) -> None:
        """Take in later values."""
        known = [self.last, *values]
        if None in known:
            known = [value for value in known if value is not None]
        if len(known) > 1:
            self.grown = (self.grown or 0) + growth(known)
        if known:
            self.last = known[-1]

    def columns(self) -> Row:
        """Return the growth; None when there was nothing to compare with."""
        return (self.grown,)


def growth(known: Values) -> Any:
    """Return what a counter has grown; one that is less than before was reset, and has grown from zero since."""
    later = known[1:]
    if not any(map(operator.lt, later, known)):
        return known[-1] - known[0]
    return sum(now if now < before else now - before for before, now in zip(known, later, strict=False))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a series are read: ts, what names the device, its metrics, and whether it is simulated."""

    devices: int
    folds: tuple[type[Gauge] | type[Counter], ...]
    simulated: bool


class Folding:
    """Takes in rows in the order of their time, and gives one row for each bucket and device."""

    def __init__(self, layout: Layout, bucket_s: int) -> None:
        self._layout = layout
        self._bucket_s = bucket_s
        self._buckets: dict[tuple[int, Device], _Bucket] = {}
        self._newest: dict[Device, _Bucket] = {}

    def unseen(self, rows: Sequence[Row]) -> set[Device]:
        """Return the devices of these rows of which nothing was taken in yet."""
        return {row[1 : 1 + self._layout.devices] for row in rows} - self._newest.keys()

    def begin(self, device: Device, rows: Sequence[Row]) -> None:
        """Let the counters of a device grow from the last known values of earlier rows, which belong to no bucket."""
        bucket = _Bucket(self._layout)
        bucket.add(rows)
        self._newest[device] = bucket

    def add(self, rows: Sequence[Row]) -> None:
        """Take in rows."""
        together: dict[tuple[int, Device], list[Row]] = {}
        for row in rows:
            place = row[0] - row[0] % self._bucket_s, row[1 : 1 + self._layout.devices]
            together.setdefault(place, []).append(row)
        for place, its_rows in together.items():
            bucket = self._buckets.get(place)
            if bucket is None:
                bucket = self._buckets[place] = _Bucket(self._layout, self._newest.get(place[1]))
                self._newest[place[1]] = bucket
            bucket.add(its_rows)

    def rows(self) -> Iterator[Row]:
        """Return ts, device, n, the columns of each metric, and whether the device is simulated."""
        for (ts, device), bucket in self._buckets.items():
            yield ts, *device, *bucket.columns()


class _Bucket:
    def __init__(self, layout: Layout, before: "_Bucket | None" = None) -> None:
        self._layout = layout
        self._rows = 0
        self._simulated = False
        self.folds: list[Gauge | Counter] = [fold() for fold in layout.folds]
        for fold, earlier in zip(self.folds, before.folds if before else (), strict=False):
            if isinstance(fold, Counter) and isinstance(earlier, Counter):
                fold.last = earlier.last

    def add(self, rows: Sequence[Row]) -> None:
        columns = list(zip(*rows, strict=True))
        self._rows += len(rows)
        first = 1 + self._layout.devices
        for fold, values in zip(self.folds, columns[first:], strict=False):
            fold.add(values)
        if self._layout.simulated:
            self._simulated = self._simulated or any(columns[-1])

    def columns(self) -> Iterator[Any]:
        yield self._rows
        for fold in self.folds:
            yield from fold.columns()
        if self._layout.simulated:
            yield self._simulated
