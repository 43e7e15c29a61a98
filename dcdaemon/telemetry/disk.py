"""Reads the counters of block devices from /proc/diskstats."""

import re
from pathlib import Path

from dcdaemon.core.samples import DiskSample

# The kernel counts sectors of 512 bytes, whatever the device's own (Documentation/admin-guide/iostats.rst).
_SECTOR_BYTES = 512
_PRETEND = re.compile(r"(loop|ram|zram|sr|fd)\d+")


def read_disks(proc: Path, sys: Path, at: float) -> tuple[DiskSample, ...]:
    """Return one sample for each whole disk: what a partition does is counted by its disk already."""
    try:
        text = (proc / "diskstats").read_text()
    except OSError:
        return ()
    samples = parse_diskstats(text, at)
    return tuple(s for s in samples if (sys / "block" / s.device.replace("/", "!")).exists())


def parse_diskstats(text: str, at: float) -> list[DiskSample]:
    """Return a sample for each line, partitions included; loop, RAM and optical devices are left out."""
    rows = [line.split() for line in text.splitlines()]
    return [_sample(row, at) for row in rows if len(row) >= 14 and not _PRETEND.fullmatch(row[2])]


def _sample(row: list[str], at: float) -> DiskSample:
    return DiskSample(
        at=at,
        device=row[2],
        reads=int(row[3]),
        read_bytes=int(row[5]) * _SECTOR_BYTES,
        writes=int(row[7]),
        written_bytes=int(row[9]) * _SECTOR_BYTES,
        busy_s=int(row[12]) / 1000,
    )
