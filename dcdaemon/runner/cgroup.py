"""A job's control group: who is in it, and what memory it holds (Linux's cgroup-v2 documentation)."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The control group of one unit, as its shim saw it; `inode` tells it from a later one of the same name."""

    path: str
    inode: int

    def directory(self, root: Path = ROOT) -> Path | None:
        """Return its directory; None when it is gone: a control group that is gone has no process."""
        directory = root / self.path.lstrip("/")
        try:
            return directory if directory.stat().st_ino == self.inode else None
        except OSError:
            return None


def pids_in(directory: Path) -> tuple[int, ...]:
    """Return the pids in a control group and in those below it; zombies do not count."""
    found: list[int] = []
    for place, _, files in os.walk(directory):
        if "cgroup.procs" in files:
            found += _numbers(Path(place) / "cgroup.procs")
    return tuple(found)


def held_bytes(directory: Path) -> int | None:
    """Return the memory that the kernel cannot take back: without the cache of files; None when it does not tell."""
    held = {"anon", "shmem"}
    try:
        lines = (directory / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return None
    values = [int(value) for name, _, value in (line.partition(" ") for line in lines) if name in held]
    return sum(values) if len(values) == len(held) else None


def _numbers(path: Path) -> list[int]:
    try:
        return [int(line) for line in path.read_text("ascii").split()]
    except OSError:
        return []  # gone between the listing and now
