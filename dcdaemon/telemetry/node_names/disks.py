"""Every number of /proc/diskstats under node_exporter's names."""

import re
from collections.abc import Iterator

from dcdaemon.core.exposed import Exposed
from dcdaemon.telemetry.numbers import whole

#: Partitions, and what is no disk: node_exporter leaves out the same.
_LEFT_OUT = re.compile(r"(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
_SECTOR_BYTES = 512
#: In the order of the file: name, kind, what one is in the unit of the name, meaning.
_NUMBERS = (
    ("reads_completed_total", "counter", 1, "Reads completed."),
    ("reads_merged_total", "counter", 1, "Reads merged with others."),
    ("read_bytes_total", "counter", _SECTOR_BYTES, "Bytes read."),
    ("read_time_seconds_total", "counter", 0.001, "Time reads took, summed."),
    ("writes_completed_total", "counter", 1, "Writes completed."),
    ("writes_merged_total", "counter", 1, "Writes merged with others."),
    ("written_bytes_total", "counter", _SECTOR_BYTES, "Bytes written."),
    ("write_time_seconds_total", "counter", 0.001, "Time writes took, summed."),
    ("io_now", "gauge", 1, "Requests under way."),
    ("io_time_seconds_total", "counter", 0.001, "Time with a request under way."),
    ("io_time_weighted_seconds_total", "counter", 0.001, "Requests under way times their time."),
    ("discards_completed_total", "counter", 1, "Discards completed."),
    ("discards_merged_total", "counter", 1, "Discards merged with others."),
    ("discarded_sectors_total", "counter", 1, "Sectors discarded."),
    ("discard_time_seconds_total", "counter", 0.001, "Time discards took, summed."),
    ("flush_requests_total", "counter", 1, "Flushes completed."),
    ("flush_requests_time_seconds_total", "counter", 0.001, "Time flushes took, summed."),
)


def diskstats(text: str) -> Iterator[Exposed]:
    """Return one family for each number; old kernels tell fewer."""
    disks = [(fields[2], fields[3:]) for line in text.splitlines() if len(fields := line.split()) > 3]
    disks = [(name, numbers) for name, numbers in disks if not _LEFT_OUT.fullmatch(name)]
    for place, (name, kind, scale, meaning) in enumerate(_NUMBERS):
        told = ((disk, whole(numbers[place]) if len(numbers) > place else None) for disk, numbers in disks)
        rows = [((disk,), _scaled(number, scale)) for disk, number in told if number is not None]
        yield Exposed(f"node_disk_{name}", kind, meaning, ("device",), rows)


def _scaled(number: int, scale: float) -> float:
    return number / 1000 if scale == 0.001 else number * scale
