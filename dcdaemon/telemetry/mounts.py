"""The mounted filesystems a job can fill, from /proc/self/mountinfo."""

import os
import re
from dataclasses import dataclass

# Kept by the kernel alone, or made of other filesystems: nothing that a job can fill.
# fmt: off
_PRETEND = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "erofs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "proc", "pstore", "ramfs",
    "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs",
})
# fmt: on
# A container engine mounts these single files from the host's disk over the image's own.
_CONTAINER_FILES = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted filesystem; `device` is the kernel's major:minor, the same for all its mounts."""

    device: str
    point: str
    fstype: str
    read_only: bool
    source: str = ""

    @property
    def name(self) -> str:
        """Its path as text that can be stored and printed: a path may hold bytes that are no UTF-8."""
        return printable(self.point)


def parse_mountinfo(text: str) -> list[Mount]:
    """Return the filesystems a job can fill, each once, under the shortest path it is mounted at."""
    mounts: dict[str, Mount] = {}
    for line in text.splitlines():
        mount = _mount(line)
        if mount is None or mount.fstype in _PRETEND or mount.point in _CONTAINER_FILES:
            continue
        if mount.fstype == "overlay" and mount.point != "/":
            continue
        known = mounts.get(mount.device)
        if known is None or len(mount.point) < len(known.point):
            mounts[mount.device] = mount
    return sorted(mounts.values(), key=lambda mount: mount.point)


def unescaped(text: str) -> str:
    """Return a path as it is: the kernel writes blanks and backslashes in octal (proc_pid_mounts(5))."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def printable(path: str) -> str:
    """Return a path with marks for the bytes that are no UTF-8, and for zeros, which PostgreSQL keeps in no text."""
    return os.fsencode(path).decode("utf-8", "replace").replace("\0", "\ufffd")


def _mount(line: str) -> Mount | None:
    """Read one line of mountinfo (proc_pid_mountinfo(5)); a line of another shape is passed over."""
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(), after.split()
    if not dash or len(fields) < 6 or len(rest) < 3 or "\0" in unescaped(line):
        return None  # no path holds a zero
    read_only = "ro" in fields[5].split(",") or "ro" in rest[2].split(",")
    return Mount(fields[2], unescaped(fields[4]), printable(rest[0]), read_only, printable(unescaped(rest[1])))
