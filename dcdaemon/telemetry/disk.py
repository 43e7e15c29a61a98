"""Reads the counters of block devices from /proc/diskstats."""

import re
from pathlib import Path

from dcdaemon.core.samples import DiskSample
from dcdaemon.telemetry.numbers import text_of, wholes

# The kernel counts sectors of 512 bytes, whatever the device's own (Documentation/admin-guide/iostats.rst).
_SECTOR_BYTES = 512
_FIELDS = 14
_PRETEND = re.compile(r"(loop|ram|zram|sr|fd)\d+")


def read_disks(proc: Path, sys: Path, at: float) -> tuple[DiskSample, ...]:
    """Return one sample for each whole disk: what a partition does is counted by its disk already."""
    samples = parse_diskstats(text_of(proc / "diskstats"), at)
    return tuple(s for s in samples if (sys / "block" / s.device.replace("/", "!")).exists())


def parse_diskstats(text: str, at: float) -> list[DiskSample]:
    """Return a sample for each line, partitions included; pretend devices and lines of another shape are left out."""
    rows = [line.split() for line in text.splitlines()]
    samples = [_sample(row, at) for row in rows if len(row) >= _FIELDS and not _PRETEND.fullmatch(row[2])]
    return [sample for sample in samples if sample]


def _sample(row: list[str], at: float) -> DiskSample | None:
    numbers = wholes(row[3:_FIELDS], _SECTOR_BYTES)
    if numbers is None:
        return None
    reads, _, sectors_read, _, writes, _, sectors_written, _, _, busy_ms, _ = numbers
    return DiskSample(
        at=at,
        device=row[2],
        reads=reads,
        read_bytes=sectors_read * _SECTOR_BYTES,
        writes=writes,
        written_bytes=sectors_written * _SECTOR_BYTES,
        busy_s=busy_ms / 1000,
    )
