import errno
import os
import threading
import time
from pathlib import Path

import pytest
from fuse_mount.silent import BLOCK_BYTES, FSTYPE, SilentMount, why_not
from patience import until

from dcdaemon.core.event import EventKind
from dcdaemon.telemetry.filesystem import FilesystemProbes
from dcdaemon.telemetry.mounts import parse_mountinfo

DEADLINE_S = 0.2
MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 254:0 /var/lib/x /mnt/bind rw,relatime - ext4 /dev/vda rw
31 27 254:0 /docker/hosts /etc/hosts rw - ext4 /dev/vda rw
40 27 0:50 / /home rw - nfs4 server:/home rw,vers=4.2
41 27 0:51 / /mnt/big\040data ro - xfs /dev/sdb1 rw
42 27 0:52 / /mnt/frozen rw - ext4 /dev/sdc1 ro
43 27 7:1 / /snap/core rw - squashfs /dev/loop1 ro
44 27 0:53 / /run rw - tmpfs tmpfs rw
45 27 0:54 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
nonsense
"""


def test_only_filesystems_that_jobs_fill_are_watched_each_once():
    mounts = parse_mountinfo(MOUNTINFO)
    assert [(m.point, m.fstype, m.source, m.read_only) for m in mounts] == [
        ("/", "ext4", "/dev/vda", False),
        ("/home", "nfs4", "server:/home", False),
        ("/mnt/big data", "xfs", "/dev/sdb1", True),
        ("/mnt/frozen", "ext4", "/dev/sdc1", True),
    ]


def test_the_root_of_a_container_is_watched():
    (root,) = parse_mountinfo("27 1 0:60 / / rw - overlay overlay rw\n")
    assert (root.point, root.fstype) == ("/", "overlay")


class Mounts:
    """Answers for some paths, and hangs for others until released."""

    def __init__(self, *hung: str) -> None:
        self.hung, self.released, self.asked = set(hung), threading.Event(), []
        self.available = 300

    def __call__(self, path: str) -> os.statvfs_result:
        self.asked.append(path)
        if path in self.hung:
            self.released.wait(10)
        if path == "/mnt/broken":
            raise OSError(errno.ESTALE, "Stale file handle")
        if path == "/home/ada/private":
            raise OSError(errno.EACCES, "Permission denied")
        return os.statvfs_result((4096, 4096, 1000, 400, self.available, 50, 20, 10, 0, 255))


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def mounted(proc: Path, *points: str, fstype: str = "nfs4") -> None:
    lines = [f"{i} 1 8:{i} / {p} rw - {fstype} s:{p} rw" for i, p in enumerate(points)]
    (proc / "self").mkdir(exist_ok=True)
    (proc / "self/mountinfo").write_text("\n".join(lines))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    mounted(tmp_path, "/mnt/a", "/mnt/b", "/mnt/broken")
    return tmp_path


def kinds(events: list) -> list[tuple[EventKind, str]]:
    return [(event.kind, event.subject) for event in events]


def test_sizes_are_those_an_ordinary_user_meets(proc):
    sample = FilesystemProbes(proc, [].append, ask=Mounts()).read(0.0)[0]
    assert (sample.mount, sample.size_bytes, sample.available_bytes) == ("/mnt/a", 900 * 4096, 300 * 4096)
    assert sample.used_ratio == pytest.approx(2 / 3)
    assert (sample.files, sample.files_free, sample.device) == (50, 10, "s:/mnt/a")


def test_a_filesystem_that_does_not_count_files_knows_none(proc):
    def ask(path: str) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1000, 400, 300, 0, 0, 0, 0, 255))

    sample = FilesystemProbes(proc, [].append, ask=ask).read(0.0)[0]
    assert (sample.files, sample.files_free) == (None, None)


def test_a_mount_that_fails_is_told_once_with_its_error(proc):
    events = []
    probes = FilesystemProbes(proc, events.append, ask=Mounts())
    for _ in range(3):
        broken = probes.read(5.0)[2]
    assert (broken.mount, broken.size_bytes, broken.error) == ("/mnt/broken", None, "Stale file handle")
    assert kinds(events) == [(EventKind.MOUNT_SILENT, "/mnt/broken")]
    assert events[0].message == "/mnt/broken (nfs4): Stale file handle"


def test_a_fuse_mount_that_only_its_user_may_see_is_no_trouble(tmp_path):
    mounted(tmp_path, "/home/ada/private", fstype="fuse.sshfs")
    events = []
    assert FilesystemProbes(tmp_path, events.append, ask=Mounts()).read(0.0) == ()
    assert events == []


def test_a_dead_mount_stops_nothing_is_told_once_and_asked_once(proc):
    mounts, events, clock = Mounts("/mnt/b"), [], Clock()
    probes = FilesystemProbes(proc, events.append, ask=mounts, monotonic=clock)
    try:
        first = probes.read(0.0)
        assert [sample.mount for sample in first] == ["/mnt/a", "/mnt/broken"]  # /mnt/b may still answer
        clock.now_s += 6
        for _ in range(5):
            second = probes.read(6.0)
        assert second[0].size_bytes
        assert (second[1].mount, second[1].error) == ("/mnt/b", "does not answer since 6 s")
        assert mounts.asked.count("/mnt/b") == 1
        assert mounts.asked.count("/mnt/a") == 6
        assert kinds(events).count((EventKind.MOUNT_SILENT, "/mnt/b")) == 1
    finally:
        mounts.hung.clear()
        mounts.released.set()
    until(lambda: probes.read(7.0)[1].error is None)
    assert kinds(events)[-1] == (EventKind.MOUNT_ANSWERS, "/mnt/b")


def test_a_healthy_mount_behind_many_dead_ones_is_read_at_once(tmp_path):
    dead = [f"/dead/{i}" for i in range(4)]
    mounted(tmp_path, *dead, "/well")
    mounts = Mounts(*dead)
    try:
        assert [s.mount for s in FilesystemProbes(tmp_path, [].append, ask=mounts).read(0.0)] == ["/well"]
    finally:
        mounts.released.set()


def statvfs_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "statvfs"}


def test_no_more_threads_than_the_limit_wait_for_dead_mounts(tmp_path):
    dead = [f"/dead/{i:02}" for i in range(40)]
    mounted(tmp_path, *dead)
    mounts = Mounts(*dead)
    probes, before = FilesystemProbes(tmp_path, [].append, deadline_s=0.0, ask=mounts), statvfs_threads()
    try:
        until(lambda: len(probes.read(0.0)) == 40)
        errors = [sample.error for sample in probes.read(1.0)]
        assert errors.count("not asked: 32 others do not answer") == 8
        assert len(statvfs_threads() - before) == 32
    finally:
        mounts.released.set()


def test_its_thread_ends_with_it(proc):
    before = statvfs_threads()
    probes = FilesystemProbes(proc, [].append, ask=Mounts())
    probes.read(0.0)
    assert len(statvfs_threads() - before) == 1
    del probes
    until(lambda: not statvfs_threads() - before)


def test_healthy_mounts_share_one_lasting_thread(proc):
    asked_by = set()

    def ask(path: str) -> os.statvfs_result:
        asked_by.add(threading.get_ident())
        return Mounts()("/mnt/a")

    probes = FilesystemProbes(proc, [].append, ask=ask)
    for _ in range(4):
        probes.read(0.0)
    assert len(asked_by) == 1


def test_an_answer_holds_until_the_next_one_is_overdue(proc):
    mounts, clock = Mounts(), Clock()
    probes = FilesystemProbes(proc, [].append, ask=mounts, monotonic=clock)
    good = probes.read(0.0)[0]
    mounts.hung.add("/mnt/a")
    try:
        assert probes.read(1.0)[0] == good
        clock.now_s += 5
        assert probes.read(6.0)[0].error == "does not answer since 5 s"
    finally:
        mounts.released.set()


def test_an_unmounted_filesystem_is_forgotten(proc):
    probes = FilesystemProbes(proc, [].append, ask=Mounts())
    assert len(probes.read(0.0)) == 3
    (proc / "self/mountinfo").write_text("1 1 8:1 / /mnt/b rw - xfs /dev/sdb rw\n")
    assert [s.mount for s in probes.read(1.0)] == ["/mnt/b"]


def test_a_mount_that_fills_evenly_tells_when_it_is_full(proc):
    mounts, clock = Mounts(), Clock()
    probes = FilesystemProbes(proc, [].append, ask=mounts, monotonic=clock)
    for minute in range(20):
        mounts.available = 300 - minute
        sample = probes.read(minute * 60.0)[0]
        clock.now_s += 60
    assert sample.full_in_s == pytest.approx(281 * 60)


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_real_mount_that_hangs_is_reported_and_found_again(tmp_path):
    point = tmp_path / "silent"
    point.mkdir()
    (tmp_path / "self").mkdir()
    lines = [f"1 1 0:99 / {point} rw - {FSTYPE} silent rw", "2 1 8:1 / / rw - ext4 /dev/vda rw"]
    (tmp_path / "self/mountinfo").write_text("\n".join(lines))
    events = []
    probes = FilesystemProbes(tmp_path, events.append, deadline_s=DEADLINE_S)
    mount = SilentMount(point)
    try:
        began_s = time.monotonic()
        until(lambda: len(probes.read(1.0)) == 2)
        assert time.monotonic() - began_s >= DEADLINE_S
        root, silent = probes.read(2.0)
        assert root.size_bytes
        assert silent.error.startswith("does not answer since ")
        assert kinds(events) == [(EventKind.MOUNT_SILENT, str(point))]

        mount.answer()
        until(lambda: probes.read(3.0)[1].error is None)
        assert probes.read(4.0)[1].available_bytes == 300 * BLOCK_BYTES
        assert kinds(events)[1:] == [(EventKind.MOUNT_ANSWERS, str(point))]
    finally:
        mount.close()
