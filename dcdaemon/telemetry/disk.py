"""Reads the counters of whole disks from /proc/diskstats, and what they mean since the last reading."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import DiskSample, Lack
from dcdaemon.telemetry.kernel_file import Faults, KernelFile
from dcdaemon.telemetry.numbers import whole

# The kernel counts sectors of 512 bytes, whatever the device's own (Documentation/admin-guide/iostats.rst).
_SECTOR_BYTES = 512
_NAME, _FIRST, _END = 2, 3, 14
_PRETEND = re.compile(r"(loop|ram|zram|sr|fd)\d+")
#: The eleven counts of a line, as iostats.rst orders them; the kernel keeps `_ms` in 32 bits: they wrap in 50 days.
_COUNTS = (
    "reads", "reads_merged", "sectors_read", "read_ms", "writes", "writes_merged", "sectors_written", "write_ms",
    "in_flight", "busy_ms", "queued_ms",
)  # fmt: skip
_WRAPS = tuple(name for name in _COUNTS if name.endswith("_ms"))
_GROWS = ("reads", "sectors_read", "writes", "sectors_written")
_WRAP = 2**32
_NEVER_IN_FLIGHT = 2**31

Row = list[str]
Counts = dict[str, int | None]


def parse_diskstats(text: str) -> dict[str, Row]:
    """Return the fields of each line by its device, partitions included; pretend devices are left out."""
    rows = (line.split() for line in text.splitlines())
    return {row[_NAME]: row for row in rows if len(row) > _NAME and not _PRETEND.fullmatch(row[_NAME])}


@dataclass(slots=True)
class _Disk:
    """What was read of one disk last; `wrapped` is what its 32-bit counts lost by wrapping."""

    row: Row = field(default_factory=list)
    counts: Counts = field(default_factory=dict)
    wrapped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WRAPS, 0))
    read_s: float | None = None


class DiskCounters:
    """Keeps the file open, tells of disks that come and go, and of values that are none."""

    def __init__(self, proc: Path, sys: Path, tell: Tell, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file = KernelFile(proc / "diskstats")
        self._block = sys / "block"
        self._tell, self._faults, self._monotonic = tell, Faults(tell), monotonic
        self._names: set[str] | None = None
        self._disks: dict[str, _Disk] = {}

    def read(self, at: float) -> tuple[DiskSample, ...]:
        """Return one sample for each whole disk: what a partition does is counted by its disk already."""
        rows, now_s = parse_diskstats(self._file.text()), self._monotonic()
        if rows.keys() != self._names:
            self._learn(set(rows), at)
        return tuple(self._sample(name, disk, rows[name], at, now_s) for name, disk in self._disks.items())

    def lack(self) -> Lack | None:
        """Say why there is nothing to read."""
        return None if self._disks else Lack("no disk in /proc/diskstats")

    def _learn(self, names: set[str], at: float) -> None:
        """Take in which disks there are now; those of the first reading are no news."""
        known, first = self._disks, self._names is None
        whole_disks = sorted(name for name in names if name in known or self._is_whole(name))
        self._disks = {name: known.get(name) or _Disk() for name in whole_disks}
        self._names = names
        if not first:
            self._announce(EventKind.DEVICE_NEW, self._disks.keys() - known.keys(), "appeared", at)
            self._announce(EventKind.DEVICE_GONE, known.keys() - self._disks.keys(), "is gone", at)

    def _is_whole(self, name: str) -> bool:
        return (self._block / name.replace("/", "!")).exists()

    def _announce(self, kind: EventKind, names: Iterable[str], what: str, at: float) -> None:
        for name in sorted(names):
            self._tell(Event(at, kind, f"disk {name}", f"disk {name} {what}"))

    def _sample(self, name: str, disk: _Disk, row: Row, at: float, now_s: float) -> DiskSample:
        before, before_s = disk.counts, disk.read_s
        if row != disk.row:
            disk.counts = self._counts(name, disk, row, at)
            disk.row = row
        disk.read_s = now_s
        return _sample(name, disk.counts, before, None if before_s is None else now_s - before_s, at)

    def _counts(self, name: str, disk: _Disk, row: Row, at: float) -> Counts:
        texts = row[_FIRST:_END]
        texts += [""] * (len(_COUNTS) - len(texts))
        counts = {count: _count(text) for count, text in zip(_COUNTS, texts, strict=True)}
        if (counts["in_flight"] or 0) >= _NEVER_IN_FLIGHT:
            counts["in_flight"] = None  # some drivers count below zero
        self._judge(
            name, {text: count for text, count in zip(texts, _COUNTS, strict=True) if counts[count] is None}, at
        )
        return _unwrapped(counts, disk)

    def _judge(self, name: str, nonsense: dict[str, str], at: float) -> None:
        subject = f"disk {name}"
        if nonsense:
            words = ", ".join(f"{count} {text[:24]!r}" for text, count in nonsense.items())
            self._faults.say(at, subject, f"/proc/diskstats says no value of disk {name}: {words}")
        else:
            self._faults.over(subject)


def _count(text: str) -> int | None:
    """Return a count whose bytes, should it be one of sectors, can be stored."""
    number = whole(text, _SECTOR_BYTES)
    return None if number is None else number // _SECTOR_BYTES


def _unwrapped(counts: Counts, disk: _Disk) -> Counts:
    """Add what was lost by wrapping; a disk whose other counts step back was replaced and starts anew."""
    before = disk.counts
    if any(_step(counts, before, name) < 0 for name in _GROWS):
        disk.wrapped = dict.fromkeys(_WRAPS, 0)
        return counts
    for name in _WRAPS:
        number = counts[name]
        if number is not None:
            if _step({name: number + disk.wrapped[name]}, before, name) < -_WRAP // 2:
                disk.wrapped[name] += _WRAP
            counts[name] = number + disk.wrapped[name]
    return counts


def _step(now: Counts, before: Counts, name: str) -> int:
    """Return how far a count went; 0 where it is not known."""
    new, old = now.get(name), before.get(name)
    return 0 if new is None or old is None else new - old


def _sample(name: str, counts: Counts, before: Counts, passed_s: float | None, at: float) -> DiskSample:
    return DiskSample(
        at=at,
        device=name,
        read_bytes=_bytes(counts["sectors_read"]),
        written_bytes=_bytes(counts["sectors_written"]),
        reads=counts["reads"],
        writes=counts["writes"],
        busy_s=_seconds(counts["busy_ms"]),
        read_s=_seconds(counts["read_ms"]),
        write_s=_seconds(counts["write_ms"]),
        queued_s=_seconds(counts["queued_ms"]),
        in_flight=counts["in_flight"],
        read_latency_s=_latency_s(counts, before, "read"),
        write_latency_s=_latency_s(counts, before, "write"),
        busy_ratio=_busy_ratio(counts["busy_ms"], before.get("busy_ms"), passed_s),
    )


def _bytes(sectors: int | None) -> int | None:
    return None if sectors is None else sectors * _SECTOR_BYTES


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _latency_s(now: Counts, before: Counts, kind: str) -> float | None:
    """Return the mean time of a request since the last reading; None when there was none, or the counts are new."""
    times, time_ms = f"{kind}s", f"{kind}_ms"
    if None in (now[times], now[time_ms], before.get(times), before.get(time_ms)):
        return None
    requests, took_ms = _step(now, before, times), _step(now, before, time_ms)
    return took_ms / 1000 / requests if requests > 0 and took_ms >= 0 else None


def _busy_ratio(now_ms: int | None, before_ms: int | None, passed_s: float | None) -> float | None:
    if now_ms is None or before_ms is None or not passed_s or now_ms < before_ms:
        return None
    # The kernel counts in ticks: a reading between two of them may show a little more than all.
    return min((now_ms - before_ms) / 1000 / passed_s, 1.0)
