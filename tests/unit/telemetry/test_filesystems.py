import os
import threading
import time
from pathlib import Path

import pytest
from fake_nvml.patience import eventually

from dcdaemon.telemetry.filesystem import FilesystemProbes, parse_mountinfo

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
    assert [(m.point, m.fstype, m.read_only) for m in mounts] == [
        ("/", "ext4", False),
        ("/home", "nfs4", False),
        ("/mnt/big data", "xfs", True),
        ("/mnt/frozen", "ext4", True),
    ]


def test_the_root_of_a_container_is_watched():
    (root,) = parse_mountinfo("27 1 0:60 / / rw - overlay overlay rw\n")
    assert (root.point, root.fstype) == ("/", "overlay")


class Mounts:
    """Answers for some paths, and hangs for others until released."""

    def __init__(self, *hung: str) -> None:
        self.hung, self.released, self.asked = set(hung), threading.Event(), []

    def __call__(self, path: str) -> os.statvfs_result:
        self.asked.append(path)
        if path in self.hung:
            self.released.wait(10)
        if path == "/mnt/broken":
            raise OSError(116, "Stale file handle")
        return os.statvfs_result((4096, 4096, 1000, 400, 300, 50, 20, 10, 0, 255))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self").mkdir()
    lines = [f"{i} 1 8:{i} / {p} rw - nfs4 s:{p} rw" for i, p in enumerate(["/mnt/a", "/mnt/b", "/mnt/broken"])]
    (tmp_path / "self/mountinfo").write_text("\n".join(lines))
    return tmp_path


def test_sizes_are_those_an_ordinary_user_meets(proc):
    sample = FilesystemProbes(proc, ask=Mounts()).read()[0]
    assert (sample.mount, sample.size_bytes, sample.available_bytes) == ("/mnt/a", 900 * 4096, 300 * 4096)
    assert sample.used_ratio == pytest.approx(2 / 3)
    assert sample.files_free == 10


def test_a_mount_that_fails_is_told_with_its_error(proc):
    broken = FilesystemProbes(proc, ask=Mounts()).read()[2]
    assert (broken.mount, broken.size_bytes, broken.error) == ("/mnt/broken", None, "Stale file handle")


def test_a_dead_mount_stops_nothing_is_told_and_is_asked_once(proc):
    mounts = Mounts("/mnt/b")
    probes = FilesystemProbes(proc, deadline_s=DEADLINE_S, ask=mounts)
    try:
        first = probes.read()
        assert first[0].size_bytes
        assert first[1].error.startswith("does not answer since ")
        before = time.monotonic()
        for _ in range(5):
            second = probes.read()
        assert time.monotonic() - before < DEADLINE_S
        assert second[0].at > first[0].at
        assert mounts.asked.count("/mnt/b") == 1
    finally:
        mounts.released.set()
    mounts.hung.clear()
    eventually(lambda: probes.read()[1].error is None)


def test_an_answer_holds_until_the_next_one_is_overdue(proc):
    mounts = Mounts()
    probes = FilesystemProbes(proc, deadline_s=1.0, ask=mounts)
    good = probes.read()[0]
    mounts.hung.add("/mnt/a")
    try:
        assert probes.read()[0] == good
        eventually(lambda: probes.read()[0].error)
    finally:
        mounts.released.set()


def test_an_unmounted_filesystem_is_forgotten(proc):
    probes = FilesystemProbes(proc, ask=Mounts())
    assert len(probes.read()) == 3
    (proc / "self/mountinfo").write_text("1 1 8:1 / /mnt/b rw - xfs /dev/sdb rw\n")
    assert [s.mount for s in probes.read()] == ["/mnt/b"]
