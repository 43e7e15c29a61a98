"""The disk of a machine whose power can be cut: what was not flushed is lost, as in a drive's volatile cache.

qemu's `blklogwrites` logs each write in the format of the kernel's dm-log-writes; its superblock counts, as we set it
up, the entries that a flush has made durable. After a cut these, and no other, are applied to the disk as it was.
"""

import struct
import subprocess
from pathlib import Path
from typing import BinaryIO

_SUPERBLOCK = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_MAGIC = 0x6A736677736872
_SECTOR = 512
#: Writes between two updates of the superblock that no flush asked for: as good as never.
_NEVER = 1 << 62


class Disk:
    """A disk image, what is being made of it by a running machine, and the log of that."""

    def __init__(self, image: Path) -> None:
        self._durable = image
        self._live = image.with_suffix(".live")
        self._log = image.with_suffix(".writes")

    def options(self) -> tuple[str, ...]:
        """Give the disk as it is now to a new machine, as qemu's options."""
        # Sparse, and shared where the file system can.
        subprocess.run(("cp", "--sparse=always", "--reflink=auto", self._durable, self._live), check=True)
        self._log.write_bytes(b"")
        # This machine does not lose power, so its page cache is durable enough.
        file = "driver=file,cache.no-flush=on"
        return (
            "-blockdev", f"{file},node-name=live,filename={self._live}",
            "-blockdev", f"{file},node-name=log,filename={self._log}",
            "-blockdev", f"driver=blklogwrites,node-name=disk,file=live,log=log,log-super-update-interval={_NEVER}",
            "-device", "virtio-blk-pci,drive=disk,discard=off,write-zeroes=off",
        )  # fmt: skip

    def was_shut_down(self) -> None:
        """Keep all that was written: the machine went down in order."""
        self._live.replace(self._durable)

    def lost_power(self) -> int:
        """Keep what was flushed; return how many writes are lost."""
        with self._log.open("rb") as log, self._durable.open("r+b") as disk:
            magic, _, entries, sector_size = _SUPERBLOCK.unpack(log.read(_SUPERBLOCK.size))
            assert (magic, sector_size) == (_MAGIC, _SECTOR), "this is no log of blklogwrites"
            log.seek(_SECTOR)
            for _ in range(entries):
                _apply(log, disk)
            lost = 0
            while len(head := log.read(_SECTOR)) == _SECTOR:
                lost += 1
                log.seek(_ENTRY.unpack_from(head)[1] * _SECTOR, 1)
        return lost


def _apply(log: BinaryIO, disk: BinaryIO) -> None:
    sector, sectors, _, _ = _ENTRY.unpack_from(log.read(_SECTOR))
    disk.seek(sector * _SECTOR)
    disk.write(log.read(sectors * _SECTOR))
