"""Switches on an agent that can be made to misbehave: what is read, what is told, and that nothing waits for long."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
from fake_snmp.agent import COUNTER64, IFX, INTEGER, TEXT, TICKS, UPTIME, Agent

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import Lack, SwitchPortSample, SwitchSample
from dcdaemon.telemetry import snmp_client
from dcdaemon.telemetry.snmp import Switches
from dcdaemon.telemetry.snmp_access import Access, Device

GIGABIT = 10**9


class Watch:
    """The collector on one or more agents; each reading is a minute after the last one."""

    def __init__(
        self, *devices: Device, interval_s: float = 60.0, community: Path | None = None, **more: float
    ) -> None:
        self.events: list[Event] = []
        self.now_s = 0.0
        self.interval_s = interval_s
        self.switches = Switches(
            devices, Access(community), interval_s, self.events.append, monotonic=lambda: self.now_s, **more
        )

    def read(self):
        """Return (switches by name, ports by name)."""
        self.now_s += self.interval_s
        samples = self.switches.read(1e9 + self.now_s)
        return (
            {one.switch: one for one in samples if isinstance(one, SwitchSample)},
            {one.port: one for one in samples if isinstance(one, SwitchPortSample)},
        )

    def told(self) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.subject) for event in self.events]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a question be repeated soon: nobody here is far away."""
    monkeypatch.setattr(snmp_client, "_TRY_S", 0.15)


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent() as agent:
        agent.interface(1, "Gi0/1", received=5 * 10**12, sent=7, errors_in=4)
        agent.interface(2, "Gi0/2", oper=2, megabits=0)
        yield agent


@pytest.fixture
def watch(agent: Agent) -> Watch:
    return Watch(Device("core1", "127.0.0.1", agent.port))


def test_a_device_and_its_ports_are_read(watch):
    switches, ports = watch.read()
    core = switches["core1"]
    assert (core.at, core.up, core.uptime_s, core.error) == (1e9 + 60, True, 42.0, None)
    assert 0 < core.latency_s < 1
    one = ports["Gi0/1"]
    assert (one.at, one.switch, one.up, one.enabled, one.speed_bps) == (1e9 + 60, "core1", True, True, GIGABIT)
    assert (one.received_bytes, one.sent_bytes) == (5 * 10**12, 7)
    assert (one.errors_in, one.errors_out, one.drops_in, one.drops_out) == (4, 6, 3, 5)
    assert (ports["Gi0/2"].up, ports["Gi0/2"].speed_bps) == (False, None)
    assert watch.events == []
    assert watch.switches.lack() is None


def test_nothing_is_asked_before_the_interval_is_over(agent, watch):
    watch.read()
    asked = agent.asked
    watch.now_s += 58.9
    assert watch.switches.read(0.0) == ()
    assert agent.asked == asked
    watch.now_s += 1.0  # a sweep that comes a little early is not put off by five seconds
    assert len(watch.switches.read(0.0)) == 3


@pytest.mark.parametrize(
    ("state", "up"), [(1, True), (2, False), (3, None), (4, None), (5, None), (6, False), (7, False)]
)
def test_the_states_of_a_port(agent, watch, state, up):
    agent.interface(1, "Gi0/1", oper=state, admin=min(state, 3))
    port = watch.read()[1]["Gi0/1"]
    assert port.up is up
    assert port.enabled is {1: True, 2: False}.get(state)


def test_hundreds_of_ports_take_few_questions(agent, watch):
    for row in range(3, 301):
        agent.interface(row * 7, f"Gi1/{row}")
    assert len(watch.read()[1]) == 300
    assert agent.asked <= 1 + 300 / 6 + 1


def test_a_port_is_its_name_whatever_its_number(agent, watch):
    watch.read()
    agent.forget_interfaces()
    agent.interface(10, "Gi0/2")
    agent.interface(11, "Gi0/1", received=5 * 10**12 + 1, sent=7, errors_in=4)
    ports = watch.read()[1]
    assert ports["Gi0/1"].received_bytes == 5 * 10**12 + 1
    assert watch.events == []


def test_ports_without_a_name_or_with_the_same_are_told_apart(agent, watch):
    agent.interface(3, "")
    agent.interface(4, "Gi0/1")
    agent.objects[*IFX, 1, 5] = (TEXT, "a\x00b\n" + "x" * 300)
    assert watch.read()[1].keys() == {"Gi0/1", "Gi0/2", "(index 3)", "Gi0/1 (index 4)", "ab" + "x" * 251}


def test_a_device_without_wide_counters_is_asked_for_narrow_ones(agent, watch):
    agent.forget_interfaces()
    agent.interface(1, "eth 1", wide=False, received=12, sent=13, megabits=100)
    port = watch.read()[1]["eth 1"]
    assert (port.received_bytes, port.sent_bytes, port.speed_bps, port.up) == (12, 13, 100_000_000, True)
    assert watch.events == []


@pytest.mark.parametrize("first", [True, False])
def test_a_device_that_has_wide_counters_only_now_and_then_counts_nothing_twice(agent, watch, first):
    watch.interval_s = watch.switches.every_s = 10.0
    for wide in (first, not first, first):
        agent.forget_interfaces()
        agent.interface(1, "eth 1", wide=wide, received=5 * 2**32 + 7, megabits=10)
        assert watch.read()[1]["eth 1"].received_bytes == (5 * 2**32 if wide else 0) + 7
    assert [(event.kind, event.evidence) for event in watch.events] == [(EventKind.COUNTER_RESET, {"ports": ["eth 1"]})]


def test_a_speed_that_says_only_that_it_is_more_is_unknown_and_too_fast_for_narrow_counters(agent, watch):
    agent.forget_interfaces()
    agent.interface(1, "eth 1", wide=False, received=12, megabits=10_000)
    port = watch.read()[1]["eth 1"]
    assert (port.speed_bps, port.received_bytes) == (None, None)
    assert watch.told() == [(EventKind.UNREADABLE, "core1 has 32-bit counters")]


def test_a_narrow_counter_that_overflows_grows_on(agent, watch):
    agent.forget_interfaces()
    counted = [2**32 - 5, 2**32 + 5, 2**32 + 3 * 10**9, 2 * 2**32 + 1]
    counts = []
    for received in counted:
        agent.interface(1, "eth 1", wide=False, received=received, megabits=100)
        counts.append(watch.read()[1]["eth 1"].received_bytes)
    assert counts == counted
    assert watch.events == []


def test_errors_have_narrow_counters_everywhere(agent, watch):
    agent.interface(1, "Gi0/1", errors_in=2**32 - 1)
    watch.read()
    agent.interface(1, "Gi0/1", errors_in=1)
    assert watch.read()[1]["Gi0/1"].errors_in == 2**32 + 1
    assert watch.events == []


def test_bytes_that_can_overflow_unseen_are_unknown_and_that_is_told_once(agent, watch):
    agent.forget_interfaces()
    agent.interface(1, "eth 1", wide=False, received=12)
    for _ in range(2):
        port = watch.read()[1]["eth 1"]
        assert (port.received_bytes, port.sent_bytes, port.errors_out) == (None, None, 6)
    (event,) = watch.events
    assert (event.kind, event.evidence) == (EventKind.UNREADABLE, {"ports": ["eth 1"]})
    assert event.message == (
        "core1 counts bytes of eth 1 in 32 bits, which can overflow unseen between two questions;"
        " [snmp] interval has to be below 17 s"
    )
    quick = Watch(*watch.switches._devices, interval_s=10.0)
    assert quick.read()[1]["eth 1"].received_bytes == 12


def test_a_device_that_was_started_is_one_event(agent, watch):
    watch.read()
    agent.objects[UPTIME] = (TICKS, 1100)
    agent.interface(1, "Gi0/1", received=10, sent=0, errors_in=0)
    ports = watch.read()[1]
    assert ports["Gi0/1"].received_bytes == 10
    (event,) = watch.events
    assert (event.kind, event.subject) == (EventKind.COUNTER_RESET, "core1")
    assert event.message == "core1, or its SNMP agent, was started 11 s ago: the counters of its ports may begin anew"
    assert event.evidence == {"uptime_s": 11.0, "uptime_before_s": 42.0}


@pytest.mark.parametrize("uptime", [(INTEGER, -5), (COUNTER64, 2**32), (TEXT, "long")])
def test_an_uptime_that_cannot_be_is_no_answer(agent, watch, uptime):
    agent.objects[UPTIME] = uptime
    assert watch.read()[0]["core1"].error.startswith("answers what cannot be used: no uptime")


def test_an_uptime_that_overflows_after_497_days_is_no_start(agent, watch):
    agent.objects[UPTIME] = (TICKS, 2**32 - 3000)
    watch.read()
    agent.objects[UPTIME] = (TICKS, 3000)
    watch.read()
    assert watch.events == []


def test_counters_that_fall_without_a_start_are_told_with_their_ports(agent, watch):
    watch.read()
    agent.interface(1, "Gi0/1", received=1, sent=1)
    watch.read()
    watch.read()
    (event,) = watch.events
    assert (event.kind, event.evidence) == (EventKind.COUNTER_RESET, {"ports": ["Gi0/1"]})
    assert event.message == "counters of Gi0/1 of core1 begin anew, though it was not started"


def test_a_counter_wider_than_any_database_is_unknown(agent, watch):
    agent.interface(1, "Gi0/1", received=2**63)
    assert watch.read()[1]["Gi0/1"].received_bytes is None


def test_a_device_that_says_nothing_is_told_once_and_again_when_it_answers(agent, watch):
    agent.distort = lambda _: []
    for _ in range(2):
        switches, ports = watch.read()
        assert (switches["core1"].up, switches["core1"].error, ports) == (False, "does not answer", {})
    agent.distort = lambda right: [right]
    switches, ports = watch.read()
    assert (switches["core1"].up, switches["core1"].error, len(ports)) == (True, None, 2)
    assert watch.told() == [(EventKind.SWITCH_SILENT, "core1"), (EventKind.SWITCH_ANSWERS, "core1")]
    assert watch.events[0].message == "core1 (127.0.0.1) does not answer"
    assert watch.events[1].evidence == {"since": 1e9 + 60}


def unknown(port: SwitchPortSample) -> bool:
    """Tell whether nothing but its name is known of a port."""
    _, _, _, *values = astuple(port)
    return set(values) == {None}


def test_the_ports_of_a_device_that_fell_silent_are_withdrawn_once_and_come_back(agent, watch):
    watch.read()
    agent.distort = lambda _: []
    at_s = watch.now_s + 60.0
    ports = watch.read()[1]
    assert {name: (port.at, unknown(port)) for name, port in ports.items()} == {
        "Gi0/1": (1e9 + at_s, True), "Gi0/2": (1e9 + at_s, True),
    }  # fmt: skip
    assert watch.read()[1] == {}
    agent.distort = lambda right: [right]
    assert watch.read()[1]["Gi0/1"].received_bytes == 5 * 10**12
    assert watch.told() == [(EventKind.SWITCH_SILENT, "core1"), (EventKind.SWITCH_ANSWERS, "core1")]


def test_a_port_that_a_device_has_no_more_is_withdrawn(agent, watch):
    watch.read()
    agent.forget_interfaces()
    agent.interface(1, "Gi0/1", received=5 * 10**12, sent=7, errors_in=4)
    assert {name: unknown(port) for name, port in watch.read()[1].items()} == {"Gi0/1": False, "Gi0/2": True}
    assert watch.read()[1].keys() == {"Gi0/1"}


def test_each_device_is_as_old_as_its_own_answer(agent):
    agent.distort = lambda right: [right] if agent.asked != 2 else []
    with Agent() as quick:
        devices = Device("slow", "127.0.0.1", agent.port), Device("quick", "127.0.0.1", quick.port)
        switches = Switches(devices, Access(), 60.0, print)
        begun_s = time.monotonic()
        at = {one.switch: one.at for one in switches.read(1e9)}
        took_s = time.monotonic() - begun_s
    assert 1e9 < at["quick"] < at["quick"] + 0.1 < at["slow"] <= 1e9 + took_s


def test_a_closed_port_is_told_as_such():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    watch = Watch(Device("core1", "127.0.0.1", port))
    assert watch.read()[0]["core1"].error == "cannot be asked: Connection refused"


def test_an_address_that_leads_nowhere_is_told_as_such():
    error = Watch(Device("core1", "240.0.0.1")).read()[0]["core1"].error
    assert error.startswith(("cannot be asked: ", "does not answer"))


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x80", b"\x00", b"\x30\x02\x02\x00"])
def test_garbage_is_told_as_such(agent, watch, garbage):
    agent.distort = lambda _: [garbage]
    error = watch.read()[0]["core1"].error
    assert error.startswith("answers what cannot be used: ")
    assert watch.told() == [(EventKind.SWITCH_SILENT, "core1")]


def test_an_answer_between_garbage_is_found(agent, watch):
    agent.distort = lambda right: [b"garbage", right]
    assert len(watch.read()[1]) == 2


def test_an_answer_to_another_question_is_passed_over(agent, watch):
    old = []
    agent.distort = lambda right: old.append(right) or [old[0], right]
    assert len(watch.read()[1]) == 2
    agent.distort = lambda _: [old[0]]
    assert watch.read()[0]["core1"].error == "does not answer"


def test_an_answer_from_another_address_is_passed_over(agent, watch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def from_elsewhere(right: bytes) -> list[bytes]:
            stranger.sendto(right, agent.asker)
            return []

        agent.distort = from_elsewhere
        assert watch.read()[0]["core1"].error == "does not answer"


def test_a_lost_datagram_is_asked_for_again(agent, watch):
    agent.distort = lambda right: [right] if agent.asked % 3 else []
    assert len(watch.read()[1]) == 2
    assert watch.events == []


@pytest.mark.parametrize(("status", "word"), [(5, "genErr"), (16, "authorizationError"), (99, "error 99")])
def test_an_error_in_the_middle_is_no_shorter_table(agent, watch, status, word):
    for row in range(3, 60):
        agent.interface(row, f"Gi0/{row}")

    def fail_later(right: bytes) -> list[bytes]:
        agent.status = status if agent.asked == 3 else 0
        return [right]

    agent.distort = fail_later
    switches, ports = watch.read()
    assert switches["core1"].error == f"answers what cannot be used: it answers {word}"
    assert ports == {}


def test_an_agent_that_can_send_little_is_asked_for_less(agent, watch):
    for row in range(3, 20):
        agent.interface(row, f"Gi0/{row}")
    agent.largest = 500
    assert len(watch.read()[1]) == 19


def test_a_table_that_goes_in_circles_ends(agent, watch):
    for row in range(3, 60):
        agent.interface(row, f"Gi0/{row}")
    told: list[bytes] = []

    def again(right: bytes) -> list[bytes]:
        # From the third answer on, the first rows of the table once more.
        told.append(right)
        rows = told[1] if len(told) > 2 else right
        return [rows.replace(request_id(rows), request_id(right), 1)]

    agent.distort = again
    assert watch.read()[0]["core1"].error == "answers what cannot be used: a table that goes in circles"


def test_an_agent_without_an_uptime_cannot_be_used(agent, watch):
    del agent.objects[UPTIME]
    assert watch.read()[0]["core1"].error.startswith("answers what cannot be used: no uptime")


def test_a_flood_is_not_listened_to_for_long(agent):
    over = threading.Event()

    def flood(right: bytes) -> list[bytes]:
        wrong = right.replace(request_id(right)[:-1], request_id(right)[:-2] + b"\x00", 1)
        while not over.is_set():
            agent.socket.sendto(wrong, agent.asker)
        return []

    agent.distort = flood
    watch = Watch(Device("core1", "127.0.0.1", agent.port))
    error = watch.read()[0]["core1"].error
    over.set()
    assert error == "is drowned out by datagrams that answer nothing"


def test_one_silent_device_does_not_hold_up_another(agent):
    with Agent() as silent:
        silent.distort = lambda _: []
        devices = [Device(f"dead{number}", "127.0.0.1", silent.port) for number in range(20)]
        watch = Watch(*devices, Device("core1", "127.0.0.1", agent.port))
        switches, ports = watch.read()
        assert [name for name, one in switches.items() if one.up] == ["core1"]
        assert len(ports) == 2
        assert len(watch.events) == 20


def test_a_slow_device_ends_with_its_deadline(agent):
    agent.distort = lambda right: [right] if agent.asked == 1 else []
    watch = Watch(Device("core1", "127.0.0.1", agent.port), deadline_s=0.2)
    assert watch.read()[0]["core1"].error == "needs more than 0.2 s to answer"


def test_a_community_that_cannot_be_had_is_told_and_shown(agent, tmp_path):
    watch = Watch(Device("core1", "127.0.0.1", agent.port), community=tmp_path / "none")
    why = f"the community in {tmp_path}/none cannot be read: No such file or directory"
    assert watch.read()[0]["core1"].error == f"cannot be asked: {why}"
    assert watch.switches.lack() == Lack(why, "see [snmp] community_file", wrong=True)
    assert agent.asked == 0
    (tmp_path / "none").write_text("public")
    (tmp_path / "none").chmod(0o600)
    assert watch.read()[0]["core1"].up
    assert watch.switches.lack() is None


def test_another_community_is_silence(agent, tmp_path):
    file = tmp_path / "community"
    file.write_text("private")
    file.chmod(0o600)
    watch = Watch(Device("core1", "127.0.0.1", agent.port), community=file)
    assert watch.read()[0]["core1"].error == "does not answer"


def request_id(message: bytes) -> bytes:
    """Return the encoded number of a message's question."""
    start = message.index(b"public") + len(b"public")
    start += 2 if message[start + 1] < 128 else 2 + (message[start + 1] & 127)
    return message[start : start + 2 + message[start + 1]]
