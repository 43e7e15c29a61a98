"""Tells how full the mounted filesystems are, without ever waiting for one that does not answer."""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.samples import FilesystemSample
from dcdaemon.telemetry.numbers import text_of

_DEADLINE_S = 5.0
_PATIENCE_S = 0.25
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

Ask = Callable[[str], os.statvfs_result]


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted filesystem; `device` is the kernel's major:minor, the same for all its mounts."""

    device: str
    point: str
    fstype: str
    read_only: bool

    @property
    def name(self) -> str:
        """Its path as text that can be stored and printed: a path may hold bytes that are no UTF-8."""
        return os.fsencode(self.point).decode("utf-8", "replace")


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


def _mount(line: str) -> Mount | None:
    """Read one line of mountinfo (proc_pid_mountinfo(5)); a line of another shape is passed over."""
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(), after.split()
    if not dash or len(fields) < 6 or len(rest) < 3:
        return None
    read_only = "ro" in fields[5].split(",") or "ro" in rest[2].split(",")
    point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
    return Mount(fields[2], point, rest[0], read_only)


class _Probe(threading.Thread):
    """Asks one mount; the thread lives on as long as the mount keeps it waiting."""

    def __init__(self, mount: Mount, ask: Ask) -> None:
        super().__init__(name=f"statvfs {mount.point}", daemon=True)
        self.mount = mount
        self.asked_s = time.monotonic()
        self.answer: FilesystemSample | None = None
        self._ask = ask

    def run(self) -> None:
        try:
            self.answer = _sample(self.mount, self._ask(self.mount.point))
        except OSError as error:
            self.answer = _unknown(self.mount, error.strerror or str(error))


class FilesystemProbes:
    """Asks every mount in a thread of its own; one that hangs keeps its thread and is not asked again."""

    def __init__(self, proc: Path, *, deadline_s: float = _DEADLINE_S, ask: Ask = os.statvfs) -> None:
        self._proc, self._deadline_s, self._ask = proc, deadline_s, ask
        self._probes: dict[Mount, _Probe] = {}
        self._last: dict[Mount, FilesystemSample] = {}

    def read(self) -> tuple[FilesystemSample, ...]:
        """Return a sample of each filesystem within a quarter of a second, whatever the mounts do."""
        mounts = self._mounts()
        fresh = [self._probe(mount) for mount in mounts if not self._busy(mount)]
        patient_until_s = time.monotonic() + min(_PATIENCE_S, self._deadline_s)
        for probe in fresh:
            probe.join(max(0.0, patient_until_s - time.monotonic()))
        samples = tuple(self._told(mount) for mount in mounts)
        self._forget_all_but(mounts)
        return samples

    def _mounts(self) -> list[Mount]:
        return parse_mountinfo(text_of(self._proc / "self/mountinfo"))

    def _busy(self, mount: Mount) -> bool:
        probe = self._probes.get(mount)
        return probe is not None and probe.is_alive()

    def _probe(self, mount: Mount) -> _Probe:
        probe = self._probes[mount] = _Probe(mount, self._ask)
        probe.start()
        return probe

    def _told(self, mount: Mount) -> FilesystemSample:
        """Return the newest answer; an answer is good until the next one is overdue."""
        probe = self._probes[mount]
        if probe.answer:
            self._last[mount] = probe.answer
            return probe.answer
        waited_s = time.monotonic() - probe.asked_s
        if mount in self._last and waited_s < self._deadline_s:
            return self._last[mount]
        return _unknown(mount, f"does not answer since {waited_s:.0f} s")

    def _forget_all_but(self, mounts: list[Mount]) -> None:
        # A stuck probe is kept even when its mount is gone: a remount must not start a second thread on it.
        self._probes = {m: p for m, p in self._probes.items() if m in mounts or p.is_alive()}
        self._last = {mount: sample for mount, sample in self._last.items() if mount in mounts}


def _sample(mount: Mount, stat: os.statvfs_result) -> FilesystemSample:
    return FilesystemSample(
        at=time.time(),
        mount=mount.name,
        fstype=mount.fstype,
        # As df does: what only root may use counts neither as size nor as available.
        size_bytes=(stat.f_blocks - stat.f_bfree + stat.f_bavail) * stat.f_frsize,
        available_bytes=stat.f_bavail * stat.f_frsize,
        files_free=stat.f_favail if stat.f_files else None,
        read_only=mount.read_only,
    )


def _unknown(mount: Mount, error: str) -> FilesystemSample:
    return FilesystemSample(time.time(), mount.name, mount.fstype, None, None, None, mount.read_only, error)
