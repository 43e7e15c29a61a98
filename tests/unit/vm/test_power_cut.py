"""What a disk of the virtual machine keeps when its power is cut: what was flushed, and nothing else."""

import struct
from pathlib import Path

from vm.disk import Disk

SECTOR = 512


def write_log(path: Path, flushed: int, writes: list[tuple[int, bytes]]) -> None:
    """Write a log of blklogwrites: the superblock counts what was flushed, behind it come all writes."""
    with path.open("wb") as log:
        log.write(struct.pack("<QQQI", 0x6A736677736872, 1, flushed, SECTOR).ljust(SECTOR, b"\0"))
        for sector, data in writes:
            head = struct.pack("<QQQQ", sector, len(data) // SECTOR, 0, 0)
            log.write(head.ljust(SECTOR, b"\0") + data)


def test_after_a_power_cut_the_disk_has_what_was_flushed_and_nothing_else(tmp_path):
    image = tmp_path / "disk.ext4"
    image.write_bytes(b"0" * SECTOR * 8)
    disk = Disk(image)
    disk.options()
    flush = (0, b"")
    write_log(
        image.with_suffix(".writes"), 3,
        [(1, b"a" * SECTOR * 2), (2, b"b" * SECTOR), flush, (1, b"c" * SECTOR), (6, b"d" * SECTOR)],
    )  # fmt: skip
    assert disk.lost_power() == 2
    assert image.read_bytes() == b"0" * SECTOR + b"a" * SECTOR + b"b" * SECTOR + b"0" * SECTOR * 5


def test_a_disk_that_was_shut_down_has_all_that_was_written(tmp_path):
    image = tmp_path / "disk.ext4"
    image.write_bytes(b"0" * SECTOR)
    disk = Disk(image)
    disk.options()
    image.with_suffix(".live").write_bytes(b"1" * SECTOR)
    disk.was_shut_down()
    assert image.read_bytes() == b"1" * SECTOR
