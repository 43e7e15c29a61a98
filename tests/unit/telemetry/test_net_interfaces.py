"""Network interfaces on a tree of files: what they count, what they are called, how their links are."""

from pathlib import Path

import pytest
from descriptors import open_below

from dcdaemon.core.event import Event, EventKind
from dcdaemon.telemetry.network import Interfaces, parse_net_dev

HEAD = "Inter-| Receive | Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes ...\n"


class Node:
    """A /proc and a /sys with interfaces, the collector on them, and what it told."""

    def __init__(self, root: Path) -> None:
        self.proc, self.net = root / "proc", root / "sys/class/net"
        (self.proc / "net").mkdir(parents=True)
        self.net.mkdir(parents=True)
        self.rows: dict[str, list[object]] = {}
        self.events: list[Event] = []
        self.interfaces = Interfaces(self.proc, root / "sys", self.events.append)

    def add(self, name: str, *, listed: bool = True, **files: object) -> None:
        (self.net / name).mkdir()
        self.set(name, **{"operstate": "up", "carrier_changes": 1, "speed": 25000, "flags": "0x1003"} | files)
        self.count(name)
        if not listed:
            del self.rows[name]

    def set(self, name: str, **files: object) -> None:
        for file, content in files.items():
            (self.net / name / file).write_text(f"{content}\n")

    def count(self, name: str, *numbers: object) -> None:
        """Set the counters of an interface: 1 to 16 where none are given."""
        self.rows[name] = [*numbers] or [*range(1, 17)]

    def rename(self, was: str, name: str) -> None:
        (self.net / was).rename(self.net / name)
        self.rows = {name if key == was else key: row for key, row in self.rows.items()}

    def remove(self, name: str) -> None:
        for file in (self.net / name).iterdir():
            file.unlink()
        (self.net / name).rmdir()
        del self.rows[name]

    def read(self, at: float = 0.0):
        lines = (f"{name:>6}: {' '.join(map(str, row))}\n" for name, row in self.rows.items())
        (self.proc / "net/dev").write_text(HEAD + "".join(lines))
        return {sample.interface: sample for sample in self.interfaces.read(at)}

    def told(self) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.subject) for event in self.events]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    node.add("eth0")
    return node


def test_every_value_of_an_interface_is_read(node):
    sample = node.read(7.0)["eth0"]
    assert (sample.at, sample.up, sample.speed_bps, sample.carrier_changes) == (7.0, True, 25_000_000_000, 1)
    assert (sample.received_bytes, sample.packets_in, sample.errors_in, sample.drops_in) == (1, 2, 3, 4)
    assert (sample.sent_bytes, sample.packets_out, sample.errors_out, sample.drops_out) == (9, 10, 11, 12)
    assert node.events == []


def test_loopback_and_the_ends_of_containers_are_left_out(node):
    node.add("lo")
    node.add("veth1a2b")
    assert list(node.read()) == ["eth0"]


def test_a_link_that_is_down_has_no_speed(node):
    node.set("eth0", operstate="down", speed=-1, carrier_changes=2)
    sample = node.read()["eth0"]
    assert (sample.up, sample.speed_bps) == (False, None)


@pytest.mark.parametrize("state", ["unknown", "dormant", "testing", "", "\xff"])
def test_a_state_that_says_neither_is_unknown(node, state):
    node.set("eth0", operstate=state)
    assert node.read()["eth0"].up is None


@pytest.mark.parametrize("speed", ["-1", "0", "4294967295", "N/A", ""])
def test_a_speed_that_no_link_has_is_unknown(node, speed):
    node.set("eth0", speed=speed)
    assert node.read()["eth0"].speed_bps is None


def test_the_speed_is_asked_for_again_when_the_link_changes_or_a_minute_is_over(node):
    node.read(0.0)
    node.set("eth0", speed=10)
    assert node.read(5.0)["eth0"].speed_bps == 25_000_000_000
    assert node.read(60.0)["eth0"].speed_bps == 10_000_000
    node.set("eth0", speed=100, carrier_changes=3)
    assert node.read(65.0)["eth0"].speed_bps == 100_000_000


def test_one_number_that_is_none_costs_itself_alone_and_is_told_once(node):
    node.count("eth0", "N/A", *range(2, 17))
    for at in (0.0, 5.0):
        sample = node.read(at)["eth0"]
        assert (sample.received_bytes, sample.packets_in, sample.sent_bytes) == (None, 2, 9)
    (event,) = node.events
    assert event.kind is EventKind.UNREADABLE
    assert event.message == "/proc/net/dev has no number for received_bytes of eth0"
    node.count("eth0")
    node.read(10.0)
    node.count("eth0", 2**63, *range(2, 17))
    node.read(15.0)
    assert len(node.events) == 2


def test_a_file_of_nonsense_is_told_and_costs_one_value(node):
    node.set("eth0", carrier_changes="N/A")
    assert node.read()["eth0"].carrier_changes is None
    assert node.told() == [(EventKind.UNREADABLE, "eth0")]


def test_a_renamed_interface_goes_on_under_its_new_name(node):
    node.add("eth1")
    node.read(0.0)
    node.rename("eth0", "lan0")
    node.set("lan0", operstate="down")
    samples = node.read(5.0)
    assert samples.keys() == {"eth1", "lan0"}
    assert samples["lan0"].up is False
    (event,) = node.events
    assert (event.kind, event.subject, event.evidence) == (EventKind.DEVICE_RENAMED, "lan0", {"was": "eth0"})
    assert event.message == "network interface eth0 is called lan0 now"
    node.read(10.0)
    assert len(node.events) == 1


def test_what_is_known_of_a_link_goes_with_its_interface(node):
    node.read(0.0)
    node.rename("eth0", "lan0")
    node.set("lan0", operstate="down", carrier_changes=2)
    node.read(5.0)
    node.read(245.0)
    assert node.told()[-1] == (EventKind.LINK_DOWN, "lan0")
    assert node.events[-1].evidence["since"] == 5.0


def test_two_interfaces_may_swap_their_names(node):
    node.add("eth1", speed=10)
    node.read(0.0)
    for was, name in (("eth0", "tmp"), ("eth1", "eth0"), ("tmp", "eth1")):
        node.rename(was, name)
    assert node.read(5.0)["eth0"].speed_bps == 10_000_000
    assert sorted(node.told()) == [(EventKind.DEVICE_RENAMED, "eth0"), (EventKind.DEVICE_RENAMED, "eth1")]


def test_interfaces_come_and_go(node):
    node.read(0.0)
    node.add("eth1")
    assert node.read(5.0).keys() == {"eth0", "eth1"}
    node.remove("eth0")
    assert node.read(10.0).keys() == {"eth1"}
    assert node.told() == [(EventKind.DEVICE_NEW, "eth1"), (EventKind.DEVICE_GONE, "eth0")]


def test_another_interface_of_the_same_name_is_another_one(node):
    node.read(0.0)
    (node.net / "eth0").rename(node.net.parent / "kept")  # its inode must not be used again
    del node.rows["eth0"]
    node.add("eth0", speed=10)
    assert node.read(5.0)["eth0"].speed_bps == 10_000_000
    assert node.told() == [(EventKind.DEVICE_GONE, "eth0"), (EventKind.DEVICE_NEW, "eth0")]


def test_without_sys_interfaces_are_known_by_their_names(tmp_path):
    node = Node(tmp_path)
    node.count("eth0")
    assert node.read(0.0)["eth0"].up is None
    node.count("eth1")
    node.read(5.0)
    del node.rows["eth0"]
    node.read(10.0)
    assert node.told() == [(EventKind.DEVICE_NEW, "eth1"), (EventKind.DEVICE_GONE, "eth0")]


def test_a_name_that_is_just_being_changed_is_no_news(node):
    node.read(0.0)
    (node.net / "eth0").rename(node.net / "lan0")  # /proc/net/dev was read just before
    assert node.read(5.0)["eth0"].received_bytes == 1
    assert node.events == []


def test_a_dropped_link_is_told_after_four_minutes(node):
    node.read(0.0)
    node.set("eth0", operstate="down", carrier_changes=2)
    for at in range(5, 300, 5):
        node.read(float(at))
    node.set("eth0", operstate="up", carrier_changes=3)
    node.read(300.0)
    assert node.told() == [(EventKind.LINK_DOWN, "eth0"), (EventKind.LINK_UP, "eth0")]


def test_losses_between_two_readings_are_seen_in_the_count_of_changes(node):
    for turn in range(4):
        node.set("eth0", carrier_changes=1 + 2 * turn)
        node.read(turn * 100.0)
    assert node.told() == [(EventKind.LINK_FLAPPING, "eth0")]


def test_an_interface_that_was_switched_off_is_not_dropped(node):
    node.read(0.0)
    node.set("eth0", operstate="down", carrier_changes=2, flags="0x1002")
    for at in range(5, 600, 5):
        node.read(float(at))
    assert node.events == []


@pytest.mark.parametrize("mark", ["bridge", "tun_flags"])
def test_what_has_no_cable_is_never_unplugged(node, mark):
    node.add("docker0")
    (node.net / "docker0" / mark).mkdir()
    for turn in range(4):
        node.set("docker0", operstate="up", carrier_changes=1 + 2 * turn)
        node.read(turn * 1000.0)
        node.set("docker0", operstate="down", carrier_changes=2 + 2 * turn)
        for wait in (100.0, 900.0):  # the last container has ended
            assert node.read(turn * 1000.0 + wait)["docker0"].up is False
    assert node.events == []


def test_files_stay_open_but_do_not_pile_up(node, tmp_path):
    node.read(0.0)
    opened = len(open_below(tmp_path))
    name = "eth0"
    for sweep in range(1, 10):
        name, was = f"lan{sweep}", name
        node.rename(was, name)
        node.read(sweep * 5.0)
        assert len(open_below(tmp_path)) == opened
    assert opened == len(("net/dev", "operstate", "speed", "carrier_changes"))


def test_a_missing_file_is_quiet_and_one_that_fails_is_told(tmp_path):
    node = Node(tmp_path)
    assert node.interfaces.read(0.0) == ()
    assert node.events == []
    (node.proc / "net/dev").mkdir()
    assert node.interfaces.read(0.0) == ()
    assert [event.kind for event in node.events] == [EventKind.UNREADABLE]


def test_a_page_of_interfaces_and_more_is_read_whole(node):
    for number in range(1, 200):
        node.add(f"eth{number}")
    assert len(node.read()) == 200


def test_an_alias_keeps_its_colon_and_a_broken_line_is_left_out():
    rows = parse_net_dev(f"eth0:1: {'7 ' * 16}\nbroken: 1 2 3\n: {'7 ' * 16}\nnothing\n")
    assert list(rows) == ["eth0:1"]
    assert rows["eth0:1"]["packets_out"] == 7


def test_a_name_that_is_no_utf_8_is_told_in_text_that_can_be_stored(node):
    (node.proc / "net/dev").write_bytes(b"l\xffn0: " + b"7 " * 16 + b"\n")
    (sample,) = node.interfaces.read(0.0)
    assert (sample.interface, sample.received_bytes) == ("l\\xffn0", 7)


def test_the_interfaces_of_this_machine_are_read():
    events: list[Event] = []
    interfaces = Interfaces(Path("/proc"), Path("/sys"), events.append)
    first = interfaces.read(0.0)
    assert [sample.interface for sample in first] == [sample.interface for sample in interfaces.read(5.0)]
    assert all(sample.received_bytes is not None and sample.packets_out is not None for sample in first)
    assert events == []
