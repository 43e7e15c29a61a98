"""InfiniBand and RoCE ports on a tree like that of a node with eight H100s."""

import json
from dataclasses import asdict, astuple
from pathlib import Path

import pytest
from descriptors import open_below
from fake_sys.infiniband import InfinibandTree
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.metric import metrics_of
from dcdaemon.core.samples import IbSample
from dcdaemon.telemetry.infiniband import InfinibandPorts, parse_rate
from dcdaemon.telemetry.port_counters import HARDWARE, PORT

#: A file of the kernel that answers every reading with EINVAL: loopback has no speed.
REFUSES = Path("/sys/class/net/lo/speed")


class Node:
    """The tree, the collector on it, and what it told."""

    def __init__(self, root: Path, devices: int) -> None:
        self.tree = InfinibandTree(root, devices)
        self.events: list[Event] = []
        self.ports = InfinibandPorts(root, self.events.append)

    def read(self, at: float = 0.0) -> dict[str, IbSample]:
        return {sample.device: sample for sample in self.ports.read(at)}

    def told(self) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.subject) for event in self.events]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path, 1)


def test_eight_adapters_are_read_without_a_word(tmp_path):
    node = Node(tmp_path, 8)
    samples = node.read(9.0)
    assert list(samples) == [f"mlx5_{number}" for number in range(8)]
    assert {(s.at, s.port, s.state, s.physical_state, s.link_layer, s.up, s.speed_bps) for s in samples.values()} == {
        (9.0, 1, "ACTIVE", "LinkUp", "InfiniBand", True, 400_000_000_000)
    }
    assert node.ports.lack() is None
    assert node.events == []


def test_every_counter_has_its_own_file(node):
    for count, counter in enumerate((*PORT, *HARDWARE), start=2):
        node.tree.set("mlx5_0", **{counter.file: count})
    sample = node.read()["mlx5_0"]
    for count, counter in enumerate((*PORT, *HARDWARE), start=2):
        assert getattr(sample, counter.attribute) == count * counter.unit, counter
    assert {c.attribute for c in (*PORT, *HARDWARE)} == {
        metric.attribute for metric in metrics_of(IbSample) if metric.kind == "counter"
    }


def test_data_is_counted_in_words_of_four_bytes(node):
    node.tree.set("mlx5_0", **{"counters/port_rcv_data": 10**15, "counters/port_xmit_data": 25})
    sample = node.read()["mlx5_0"]
    assert (sample.received_bytes, sample.sent_bytes) == (4 * 10**15, 100)


@pytest.mark.parametrize(
    ("text", "bps"),
    [
        ("400 Gb/sec (4X NDR)", 400_000_000_000),
        ("2.5 Gb/sec (1X SDR)", 2_500_000_000),
        ("100 Gb/sec (2X HDR)\n", 100_000_000_000),
        ("0 Gb/sec", None),
        (". Gb/sec", None),
        ("40", None),
        ("", None),
    ],
)
def test_rates(text, bps):
    assert parse_rate(text) == bps


@pytest.mark.parametrize("text", ["N/A (no PMA)", "", "-1", "1.5", "18446744073709551615", "9223372036854775807"])
def test_a_counter_that_is_none_costs_itself_alone(node, text):
    node.tree.set("mlx5_0", **{"counters/port_rcv_data": text, "counters/port_xmit_data": 25})
    for at in (0.0, 5.0):
        sample = node.read(at)["mlx5_0"]
        assert (sample.received_bytes, sample.sent_bytes, sample.symbol_errors) == (None, 100, 0)
    (event,) = node.events
    assert (event.kind, event.subject) == (EventKind.UNREADABLE, "mlx5_0/1")
    assert event.evidence == {"files": {"counters/port_rcv_data": ascii(text)}}


@pytest.mark.skipif(not REFUSES.exists(), reason="no /sys here")
def test_a_port_that_refuses_is_one_event_and_its_other_values_stay(node):
    for name in ("VL15_dropped", "symbol_error"):
        (node.tree.port("mlx5_0") / "counters" / name).unlink()
        (node.tree.port("mlx5_0") / "counters" / name).symlink_to(REFUSES)
    for at in (0.0, 5.0):
        sample = node.read(at)["mlx5_0"]
        assert (sample.vl15_dropped, sample.symbol_errors, sample.errors_in) == (None, None, 0)
    (event,) = node.events
    assert event.message == "counters/symbol_error of mlx5_0/1: Invalid argument (and 1 more files)"
    assert event.evidence["files"].keys() == {"counters/symbol_error", "counters/VL15_dropped"}


def test_a_file_that_fails_again_is_told_again(node):
    for text in ("N/A", "3", "N/A"):
        node.tree.set("mlx5_0", **{"counters/symbol_error": text})
        node.read()
    assert node.told() == [(EventKind.UNREADABLE, "mlx5_0/1")] * 2


def test_a_file_whose_nonsense_changes_at_each_reading_is_told_once(node):
    for more in range(5):
        node.tree.set("mlx5_0", **{"counters/port_rcv_data": 2**62 + more})
        assert node.read(more * 5.0)["mlx5_0"].received_bytes is None
    assert node.told() == [(EventKind.UNREADABLE, "mlx5_0/1")]


def test_a_port_that_was_disabled_while_its_driver_started_is_watched_after_all(node):
    node.tree.set("mlx5_0", state="1: DOWN", phys_state="3: Disabled")
    node.read(0.0)
    node.tree.goes("mlx5_0", up=False)
    for at in range(5, 300, 5):
        node.read(float(at))
    assert node.told() == [(EventKind.LINK_DOWN, "mlx5_0/1")]


def test_what_a_driver_does_not_offer_is_unknown_without_a_word(node):
    for name in ("hw_counters/out_of_buffer", "counters/port_xmit_wait", "rate"):
        (node.tree.port("mlx5_0") / name).unlink()
    sample = node.read()["mlx5_0"]
    assert (sample.out_of_buffer, sample.wait_ticks, sample.speed_bps) == (None, None, None)
    assert node.events == []


def test_a_data_counter_at_its_highest_value_tells_nothing_and_that_is_told(node):
    node.tree.set("mlx5_0", **{"counters/port_rcv_data": 2**32 - 1})
    for at in (0.0, 5.0):
        assert node.read(at)["mlx5_0"].received_bytes is None
    (event,) = node.events
    assert (event.kind, event.subject) == (EventKind.COUNTER_STUCK, "mlx5_0/1")
    assert event.message == (
        "counters/port_rcv_data of mlx5_0/1: stands at 4294967295, as high as it counts, until it is cleared"
    )


@pytest.mark.parametrize(
    ("file", "attribute", "top"),
    [("link_downed", "link_downed", 255), ("symbol_error", "symbol_errors", 65535),
     ("local_link_integrity_errors", "integrity_errors", 15)],
)  # fmt: skip
def test_an_error_counter_at_its_highest_value_keeps_it(node, file, attribute, top):
    node.tree.set("mlx5_0", **{f"counters/{file}": top})
    assert getattr(node.read()["mlx5_0"], attribute) == top
    assert [event.kind for event in node.events] == [EventKind.COUNTER_STUCK]


def test_a_wide_counter_goes_on_beyond_the_highest_value_of_a_narrow_one(node):
    node.tree.set("mlx5_0", **{"counters/port_rcv_data": 2**32, "counters/symbol_error": 65536})
    sample = node.read()["mlx5_0"]
    assert (sample.received_bytes, sample.symbol_errors) == (2**34, 65536)
    assert node.events == []


def test_hardware_counters_are_not_read_within_their_lifespan(tmp_path):
    node = Node(tmp_path, 0)
    node.tree.add("mlx5_0", **{"hw_counters/lifespan": "8000"})
    node.read(100.0)
    node.tree.set("mlx5_0", **{"hw_counters/out_of_sequence": 5, "counters/symbol_error": 5})
    early = node.read(105.0)["mlx5_0"]
    assert (early.out_of_sequence, early.symbol_errors) == (0, 5)
    assert node.read(108.0)["mlx5_0"].out_of_sequence == 5
    node.tree.set("mlx5_0", **{"hw_counters/out_of_sequence": 6})
    assert node.read(50.0)["mlx5_0"].out_of_sequence == 6  # a clock set back


def test_adapters_come_go_and_are_renamed(node):
    node.read(0.0)
    node.tree.add("mlx5_1")
    assert node.read(5.0).keys() == {"mlx5_0", "mlx5_1"}
    (node.tree.folder / "mlx5_0").rename(node.tree.folder / "ibp24s0")
    node.tree.set("ibp24s0", **{"counters/symbol_error": 7})
    assert node.read(10.0)["ibp24s0"].symbol_errors == 7
    (node.tree.folder / "mlx5_1").rename(node.tree.folder.parent / "lost")
    assert node.read(15.0).keys() == {"ibp24s0"}
    assert node.told() == [
        (EventKind.DEVICE_NEW, "mlx5_1"),
        (EventKind.DEVICE_RENAMED, "ibp24s0"),
        (EventKind.DEVICE_GONE, "mlx5_1"),
    ]


def test_an_adapter_that_is_just_being_made_is_looked_at_again(node):
    node.read(0.0)
    (node.tree.folder / "mlx5_1/ports").mkdir(parents=True)
    assert node.read(5.0).keys() == {"mlx5_0"}
    (node.tree.folder / "mlx5_1/ports").rmdir()
    (node.tree.folder / "mlx5_0/ports").rename(node.tree.folder / "mlx5_1/ports")
    assert node.read(10.0).keys() == {"mlx5_0", "mlx5_1"}
    assert node.told() == [(EventKind.DEVICE_NEW, "mlx5_1")]


def test_an_adapter_that_was_reset_is_read_from_its_new_files(node):
    node.read(0.0)
    (node.tree.folder / "mlx5_0").rename(node.tree.folder.parent / "before")
    node.tree.add("mlx5_0")
    node.tree.set("mlx5_0", **{"counters/symbol_error": 7})
    assert node.read(5.0)["mlx5_0"].symbol_errors == 7
    assert node.told() == [(EventKind.DEVICE_GONE, "mlx5_0"), (EventKind.DEVICE_NEW, "mlx5_0")]


def test_a_port_that_is_down_is_dropped_after_four_minutes_even_from_the_start(node):
    node.tree.goes("mlx5_0", up=False)
    for at in range(0, 300, 5):
        sample = node.read(float(at))["mlx5_0"]
    assert (sample.state, sample.physical_state, sample.up) == ("DOWN", "Polling", False)
    node.tree.goes("mlx5_0", up=True)
    node.read(300.0)
    assert node.told() == [(EventKind.LINK_DOWN, "mlx5_0/1"), (EventKind.LINK_UP, "mlx5_0/1")]
    assert node.events[0].evidence == {"since": 0.0, "down_s": 240.0, "was_up": False}


def test_a_port_that_was_switched_off_is_not_dropped(node):
    node.tree.set("mlx5_0", state="1: DOWN", phys_state="3: Disabled")
    for at in range(0, 600, 5):
        node.read(float(at))
    assert node.events == []


def test_losses_between_two_readings_are_seen_in_link_downed(node):
    for turn in range(4):
        node.tree.set("mlx5_0", **{"counters/link_downed": turn})
        node.read(turn * 100.0)
    assert node.told() == [(EventKind.LINK_FLAPPING, "mlx5_0/1")]


def test_a_roce_port_is_watched_by_its_network_interface(tmp_path):
    node = Node(tmp_path, 0)
    node.tree.add("mlx5_0", link_layer="Ethernet", rate="200 Gb/sec (4X HDR)")
    node.tree.goes("mlx5_0", up=False)
    for at in range(0, 600, 5):
        sample = node.read(float(at))["mlx5_0"]
    assert (sample.up, sample.link_layer, sample.speed_bps) == (False, "Ethernet", 200_000_000_000)
    assert node.events == []


def test_the_rate_is_asked_for_again_when_the_state_changes_or_a_minute_is_over(node):
    node.read(0.0)
    node.tree.set("mlx5_0", rate="100 Gb/sec (4X EDR)")
    assert node.read(5.0)["mlx5_0"].speed_bps == 400_000_000_000
    assert node.read(60.0)["mlx5_0"].speed_bps == 100_000_000_000
    node.tree.set("mlx5_0", rate="50 Gb/sec (2X EDR)", state="3: ARMED")
    sample = node.read(65.0)["mlx5_0"]
    assert (sample.speed_bps, sample.up) == (50_000_000_000, False)


@pytest.mark.parametrize("text", ["", "\xff", "4", "UNKNOWN:", "4: \x00"])
def test_a_state_of_nonsense_stops_nothing(node, text):
    node.tree.set("mlx5_0", state=text, phys_state=text, rate=text)
    sample = node.read()["mlx5_0"]
    assert sample.up in (None, False)
    assert sample.speed_bps is None


def test_files_are_kept_open_and_let_go_of(tmp_path):
    node = Node(tmp_path, 8)
    node.read(0.0)
    opened = open_below(tmp_path)
    assert len(opened) == 8 * (len(PORT) + len(HARDWARE) + len(("state", "phys_state", "rate")))
    node.read(5.0)
    assert open_below(tmp_path) == opened
    for number in range(8):
        (node.tree.folder / f"mlx5_{number}").rename(tmp_path / f"lost{number}")
    node.read(10.0)
    assert open_below(tmp_path) == []


def test_a_node_without_adapters_says_why(tmp_path):
    ports = InfinibandPorts(tmp_path, print)
    assert ports.read(0.0) == ()
    assert ports.lack().why == "no InfiniBand or RoCE adapter here"


@given(
    name=st.sampled_from(["state", "phys_state", "rate", *(counter.file for counter in (*PORT, *HARDWARE))]),
    content=st.binary(max_size=40) | st.integers(0, 2**66).map(lambda number: b"%d\n" % number),
)
def test_no_content_of_a_file_stops_a_reading(tmp_path_factory, name, content):
    node = Node(tmp_path_factory.mktemp("sys"), 1)
    (node.tree.port("mlx5_0") / name).write_bytes(content)
    for at in (0.0, 300.0):
        sample = node.read(at)["mlx5_0"]
        assert all(abs(value) < 2**63 for value in astuple(sample) if isinstance(value, int))
        assert json.dumps(asdict(sample)).encode()
    assert all(json.dumps(event.evidence).encode() for event in node.events)
