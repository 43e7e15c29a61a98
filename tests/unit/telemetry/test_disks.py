"""Disk counters on captured files, through everything that can happen to them."""

from pathlib import Path

import pytest

from dcdaemon.core.event import EventKind
from dcdaemon.core.samples import DiskSample
from dcdaemon.telemetry.disk import DiskCounters, parse_diskstats

DISKSTATS = """\
   7       0 loop0 9 0 9 9 0 0 0 0 0 0 0
 259       0 nvme0n1 1000 5 2048 700 300 2 4096 90 3 4500 800 0 0 0 0 0 0
 259       1 nvme0n1p1 900 5 2000 600 300 2 4096 90 0 4000 700 0 0 0 0 0 0
 253       0 dm-0 10 0 16 1 2 0 32 1 0 2 2
"""


class Node:
    """A /proc and a /sys to change, and a clock to turn."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys, self.now_s, self.events = root / "proc", root / "sys", 100.0, []
        self.proc.mkdir()
        for disk in ("nvme0n1", "dm-0", "cciss!c0d0"):
            (self.sys / "block" / disk).mkdir(parents=True)
        self.says(DISKSTATS)
        self.disks = DiskCounters(self.proc, self.sys, self.events.append, monotonic=lambda: self.now_s)

    def says(self, text: str) -> None:
        (self.proc / "diskstats").write_text(text)

    def nvme(self, numbers: str) -> None:
        self.says(f" 259 0 nvme0n1 {numbers}\n 253 0 dm-0 10 0 16 1 2 0 32 1 0 2 2\n")

    def read(self, after_s: float = 0.0) -> dict[str, DiskSample]:
        self.now_s += after_s
        return {sample.device: sample for sample in self.disks.read(1000.0 + self.now_s)}

    def told(self) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.subject) for event in self.events]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_whole_disks_are_counted_and_their_partitions_and_loops_are_not(node):
    assert list(node.read()) == ["dm-0", "nvme0n1"]
    assert list(parse_diskstats(DISKSTATS)) == ["nvme0n1", "nvme0n1p1", "dm-0"]


def test_every_count_is_told_in_base_units(node):
    disk = node.read()["nvme0n1"]
    assert (disk.reads, disk.writes) == (1000, 300)
    assert (disk.read_bytes, disk.written_bytes) == (2048 * 512, 4096 * 512)
    assert (disk.busy_s, disk.read_s, disk.write_s, disk.queued_s, disk.in_flight) == (4.5, 0.7, 0.09, 0.8, 3)


def test_latency_and_busy_share_are_those_since_the_last_reading(node):
    first = node.read()["nvme0n1"]
    assert (first.read_latency_s, first.write_latency_s, first.busy_ratio) == (None, None, None)
    node.nvme("1100 5 2048 1200 310 2 4096 110 0 7000 900")
    second = node.read(after_s=5)["nvme0n1"]
    assert second.read_latency_s == pytest.approx(0.005)  # 500 ms for 100 reads
    assert second.write_latency_s == pytest.approx(0.002)
    assert second.busy_ratio == pytest.approx(0.5)


def test_a_disk_at_rest_has_no_latency_and_is_not_busy(node):
    node.read()
    rested = node.read(after_s=5)["nvme0n1"]
    assert (rested.read_latency_s, rested.write_latency_s, rested.busy_ratio) == (None, None, 0.0)


def test_no_disk_is_more_than_busy(node):
    node.read()
    node.nvme("1000 5 2048 700 300 2 4096 90 3 9504 800")
    assert node.read(after_s=5)["nvme0n1"].busy_ratio == 1.0


def test_a_disk_that_was_replaced_starts_anew(node):
    node.read()
    node.nvme("3 0 8 4 0 0 0 0 0 4 4")
    replaced = node.read(after_s=5)["nvme0n1"]
    assert (replaced.reads, replaced.busy_s) == (3, 0.004)
    assert (replaced.read_latency_s, replaced.busy_ratio) == (None, None)
    node.nvme("13 0 8 24 0 0 0 0 0 24 24")
    assert node.read(after_s=5)["nvme0n1"].read_latency_s == pytest.approx(0.002)


def test_times_that_wrap_at_32_bits_go_on(node):
    top = 2**32
    node.nvme(f"1000 5 2048 {top - 300} 300 2 4096 90 0 {top - 1000} 800")
    node.read()
    node.nvme("1100 5 4096 200 300 2 4096 90 0 1000 800")
    wrapped = node.read(after_s=5)["nvme0n1"]
    assert wrapped.busy_s == pytest.approx((top + 1000) / 1000)
    assert wrapped.read_latency_s == pytest.approx(0.005)
    assert wrapped.busy_ratio == pytest.approx(0.4)
    node.nvme("1100 5 4096 200 300 2 4096 90 0 1500 800")
    assert node.read(after_s=5)["nvme0n1"].busy_s == pytest.approx((top + 1500) / 1000)
    assert node.told() == []


@pytest.mark.parametrize("text", ["N/A", "-1", "18446744073709551615", "²"])
def test_one_garbage_value_costs_only_itself_and_is_told_once(node, text):
    node.read()
    for _ in range(3):
        node.nvme(f"1100 5 2048 1200 {text} 2 4096 110 0 7000 900")
        disk = node.read(after_s=5)["nvme0n1"]
    assert (disk.reads, disk.writes, disk.busy_s) == (1100, None, 7.0)
    assert node.told() == [(EventKind.UNREADABLE, "disk nvme0n1")]
    assert "writes" in node.events[0].message
    node.nvme("1100 5 2048 1200 310 2 4096 110 0 7000 900")
    node.read(after_s=5)
    node.nvme(f"1100 5 2048 1200 {text} 2 4096 110 0 7000 901")
    node.read(after_s=5)
    assert len(node.events) == 2  # a new burst


def test_a_line_that_ends_early_leaves_the_rest_unknown(node):
    node.nvme("1000 5 2048")
    disk = node.read()["nvme0n1"]
    assert (disk.reads, disk.read_bytes, disk.writes, disk.in_flight) == (1000, 2048 * 512, None, None)


def test_a_count_of_requests_below_zero_is_no_value(node):
    node.nvme(f"1000 5 2048 700 300 2 4096 90 {2**32 - 1} 4500 800")
    assert node.read()["nvme0n1"].in_flight is None


def test_disks_that_come_and_go_are_told_but_not_those_of_the_first_reading(node):
    node.read()
    assert node.told() == []
    node.says(" 253 0 dm-0 10 0 16 1 2 0 32 1 0 2 2\n 104 0 cciss/c0d0 1 0 8 1 0 0 0 0 0 1 1\n")
    assert list(node.read()) == ["cciss/c0d0", "dm-0"]
    assert node.told() == [(EventKind.DEVICE_NEW, "disk cciss/c0d0"), (EventKind.DEVICE_GONE, "disk nvme0n1")]


def test_no_file_is_no_disk_and_no_fault(tmp_path):
    disks = DiskCounters(tmp_path, tmp_path, [].append)
    assert disks.read(0.0) == ()
    assert disks.lack() is not None


def test_this_machine_has_a_disk_that_was_read():
    disks = DiskCounters(Path("/proc"), Path("/sys"), [].append)
    disks.read(0.0)
    samples = disks.read(1.0)
    assert all(sample.reads is not None and sample.busy_ratio is not None for sample in samples)
    assert samples or not any(Path("/sys/block").glob("[svn]*d*"))
