"""NFS client counters, on a file as Linux prints it for version 4.2 and (of an older kernel) version 3."""

from pathlib import Path

import pytest

from dcdaemon.core.event import EventKind
from dcdaemon.core.samples import NfsSample
from dcdaemon.telemetry.nfs import NfsCounters, parse_mountstats

MOUNTSTATS = (Path(__file__).parents[2] / "fixtures/proc/mountstats").read_text()
MOUNTINFO = """\
27 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw
40 27 0:50 / /home rw - nfs4 store:/export/home rw,vers=4.2
41 27 0:50 / /srv/home\\040again rw - nfs4 store:/export/home rw,vers=4.2
42 27 0:51 / /mnt/old ro - nfs old:/data ro,vers=3
"""


class Node:
    def __init__(self, root: Path) -> None:
        self.folder, self.events = root / "self", []
        self.folder.mkdir()
        (self.folder / "mountinfo").write_text(MOUNTINFO)
        self.says(MOUNTSTATS)
        self.counters = NfsCounters(root, self.events.append)

    def says(self, text: str) -> None:
        (self.folder / "mountstats").write_text(text)

    def read(self) -> dict[str, NfsSample]:
        return {sample.mount: sample for sample in self.counters.read(1.0)}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_all_operations_of_a_mount_are_summed(node):
    home = node.read()["/home"]
    assert home.server == "store:/export/home"
    assert (home.read_bytes, home.written_bytes) == (41943040, 8388608)
    assert home.operations == 400 + 90 + 850 + 1 + 50
    assert (home.retransmits, home.timeouts, home.errors) == (1 + 2, 1 + 1, 2 + 12)
    assert home.response_s == pytest.approx((8000 + 2700 + 900 + 1 + 60) / 1000)
    assert home.queue_s == pytest.approx((1200 + 300 + 60 + 5) / 1000)


def test_errors_are_unknown_where_the_kernel_does_not_count_them(node):
    old = node.read()["/mnt/old"]
    assert (old.operations, old.retransmits, old.timeouts) == (12, 2, 2)
    assert old.errors is None
    assert node.events == []


def test_a_filesystem_mounted_twice_is_counted_once(node):
    assert list(node.read()) == ["/home", "/mnt/old"]
    assert [mount.point for mount in parse_mountstats(MOUNTSTATS)] == ["/home", "/srv/home again", "/mnt/old"]


@pytest.mark.parametrize("spoilt", ["READ: 400 N/A 1 76800 41990000 1200 8000 9300 0", "READ: 400"])
def test_one_garbage_line_costs_only_its_values_and_is_told_once(node, spoilt):
    node.says(MOUNTSTATS.replace("READ: 400 401 1 76800 41990000 1200 8000 9300 0", spoilt))
    node.read()
    home = node.read()["/home"]
    assert (home.retransmits, home.read_bytes) == (None, 41943040)
    if "N/A" in spoilt:
        assert (home.operations, home.timeouts, home.errors) == (1391, 2, 14)
    assert [(event.kind, event.subject) for event in node.events] == [(EventKind.UNREADABLE, "nfs /home")]
    node.says(MOUNTSTATS)
    assert node.read()["/home"].retransmits == 3


def test_garbage_among_the_bytes_costs_only_the_bytes(node):
    node.says(MOUNTSTATS.replace("41943040 8388608 10240", "N/A 8388608 10240", 1))
    home = node.read()["/home"]
    assert (home.read_bytes, home.written_bytes, home.operations) == (None, 8388608, 1391)


def test_a_mount_that_goes_is_forgotten_and_a_new_one_found(node):
    node.read()
    node.says(MOUNTSTATS.replace("mounted on /home with", "mounted on /new with"))
    node.folder.joinpath("mountinfo").write_text(MOUNTINFO.replace(" /home rw ", " /new rw "))
    assert list(node.read()) == ["/new", "/mnt/old"]


def test_a_node_without_nfs_has_nothing_to_tell(node):
    node.says("device proc mounted on /proc with fstype proc\n")
    assert node.read() == {}
    assert node.counters.lack().why == "no NFS mount here"


def test_the_file_of_this_machine_can_be_read():
    events = []
    NfsCounters(Path("/proc"), events.append).read(0.0)
    assert events == []
