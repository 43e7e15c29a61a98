"""Switches asked by SNMPv3, on an agent that can be made to misbehave: what is read, told, and not believed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_snmp import v3_agent
from fake_snmp.agent import Agent
from fake_snmp.v3_agent import V3Agent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import Lack, SwitchPortSample, SwitchSample
from dcdaemon.telemetry import snmp_client
from dcdaemon.telemetry.snmp import Switches
from dcdaemon.telemetry.snmp_access import Access, Device
from dcdaemon.telemetry.snmp_keys import User


class Watch:
    """The collector on one agent by SNMPv3; each reading is a minute after the last one."""

    def __init__(self, agent: Agent, folder: Path, *more: Device) -> None:
        self.signs, self.hides = folder / "signs", folder / "hides"
        self.keep(self.signs, "signing phrase")
        self.keep(self.hides, "secret phrase")
        access = Access(None, {"usual": User("monitor", "sha-256", "aes-128", self.signs, self.hides)})
        self.events: list[Event] = []
        self.now_s = 0.0
        device = Device("core1", "127.0.0.1", agent.port, "usual")
        self.switches = Switches([device, *more], access, 60.0, self.events.append, monotonic=lambda: self.now_s)

    def keep(self, file: Path, text: str) -> None:
        file.write_text(f"{text}\n")
        file.chmod(0o600)

    def read(self) -> tuple[SwitchSample, dict[str, SwitchPortSample]]:
        self.now_s += 60.0
        samples = self.switches.read(1e9 + self.now_s)
        switch = next(one for one in samples if isinstance(one, SwitchSample) and one.switch == "core1")
        ports = [one for one in samples if isinstance(one, SwitchPortSample) and one.switch == "core1"]
        return switch, {port.port: port for port in ports}

    def told(self) -> list[tuple[EventKind, object]]:
        return [(event.kind, event.evidence.get("refusal")) for event in self.events]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a question be repeated soon: nobody here is far away."""
    monkeypatch.setattr(snmp_client, "_TRY_S", 0.15)


@pytest.fixture
def agent() -> Iterator[V3Agent]:
    with V3Agent() as agent:
        for row in range(1, 12):
            agent.interface(row, f"Gi0/{row}", received=5 * 10**12, sent=7, errors_in=4)
        yield agent


@pytest.fixture
def watch(agent: V3Agent, tmp_path: Path) -> Watch:
    return Watch(agent, tmp_path)


def test_ports_are_read_as_by_the_older_version(agent, watch):
    switch, ports = watch.read()
    assert (switch.up, switch.error, len(ports)) == (True, None, 11)
    port = ports["Gi0/3"]
    assert (port.received_bytes, port.sent_bytes, port.errors_in, port.up, port.speed_bps) == (
        5 * 10**12, 7, 4, True, 10**9,
    )  # fmt: skip
    assert watch.events == []


def test_devices_of_both_versions_are_asked_side_by_side(agent, tmp_path):
    with Agent() as old:
        old.interface(1, "eth1")
        watch = Watch(agent, tmp_path, Device("old", "127.0.0.1", old.port))
        samples = watch.switches.read(1e9)
    assert {one.switch: one.up for one in samples if isinstance(one, SwitchSample)} == {"core1": True, "old": True}
    assert watch.switches.lack() is None


def test_what_is_known_of_a_device_lasts_from_round_to_round(agent, watch):
    watch.read()
    met = agent.asked
    watch.read()
    assert agent.asked - met == met - 2


def test_a_lost_datagram_is_asked_for_again(agent, watch):
    agent.distort = lambda right: [right] if agent.asked % 4 else []
    assert len(watch.read()[1]) == 11
    assert watch.events == []


def test_a_datagram_that_comes_twice_is_taken_once(agent, watch):
    agent.distort = lambda right: [right, right]
    assert len(watch.read()[1]) == 11


def test_a_device_that_is_started_between_two_questions_is_asked_on(agent, watch):
    watch.read()

    def start(right: bytes) -> list[bytes]:
        agent.clock = 4, 1
        agent.distort = lambda right: [right]
        return [right]

    agent.distort = start
    assert len(watch.read()[1]) == 11
    assert watch.events == []


def test_clocks_that_step_cost_nothing_but_questions(agent, watch):
    for clock in [(3, 10**6), (2, 5), (3, 9), (0, 0), (2**31 - 1, 2**31 - 1), (1, 77)]:
        agent.clock = clock
        assert watch.read()[0].up, clock
    assert watch.events == []


def test_a_device_that_wants_another_time_again_and_again_is_told_as_such(agent, watch):
    watch.read()

    def restless(right: bytes) -> list[bytes]:
        agent.clock = agent.clock[0] + 1, 1
        return [right]

    agent.distort = restless
    assert watch.read()[0].error == "says again and again how it wants to be asked, and does not answer then"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda right: right[:-3],
        lambda right: right[:20],
        lambda right: right[:-1] + bytes([right[-1] ^ 1]),
        lambda _: b"\x30\x80",
    ],
)
def test_garbage_is_one_event_and_the_next_round_is_well(agent, watch, spoil):
    watch.read()
    agent.distort = lambda right: [spoil(right)]
    for _ in range(2):
        assert watch.read()[0].error.startswith("answers what cannot be used: ")
    agent.distort = lambda right: [right]
    assert len(watch.read()[1]) == 11
    assert watch.told() == [(EventKind.SWITCH_SILENT, None), (EventKind.SWITCH_ANSWERS, None)]


def test_an_answer_between_garbage_is_found(agent, watch):
    agent.distort = lambda right: [b"garbage", right[:-1], right]
    assert len(watch.read()[1]) == 11


def test_what_was_recorded_before_is_no_answer(agent, watch):
    recorded = []
    agent.distort = lambda right: recorded.append(right) or [right]
    watch.read()
    agent.distort = lambda _: recorded[-3:]
    assert watch.read()[0].error == "does not answer"


def test_an_answer_that_is_not_encrypted_is_not_believed(agent, watch):
    agent.level = v3_agent.SIGNED
    assert watch.read()[0].error == "answers what cannot be used: an answer that is not signed and encrypted"


def test_another_user_is_one_event_with_its_reason(agent, watch):
    agent.user = b"somebody"
    for _ in range(2):
        assert watch.read()[0].error == "does not know user 'monitor'"
    assert watch.told() == [(EventKind.SWITCH_SILENT, "unknown_user")]
    assert watch.events[0].evidence == {
        "host": "127.0.0.1", "port": agent.port, "refusal": "unknown_user", "user": "usual",
    }  # fmt: skip


def test_a_reason_that_is_found_later_is_told_too_and_each_only_once(agent, watch):
    agent.distort = lambda _: []
    watch.read()
    agent.distort = lambda right: [right]
    for report in (v3_agent.UNKNOWN_USER, v3_agent.WRONG_DIGEST, v3_agent.UNKNOWN_USER, v3_agent.WRONG_DIGEST):
        agent.report = report
        watch.read()
    agent.distort = lambda _: []
    watch.read()
    assert watch.told() == [
        (EventKind.SWITCH_SILENT, None), (EventKind.SWITCH_SILENT, "unknown_user"),
        (EventKind.SWITCH_SILENT, "wrong_authentication"),
    ]  # fmt: skip


def test_a_reason_is_told_anew_when_the_device_answered_in_between(agent, watch):
    for report in (v3_agent.UNKNOWN_USER, None, v3_agent.UNKNOWN_USER):
        agent.report = report
        watch.read()
    assert watch.told() == [
        (EventKind.SWITCH_SILENT, "unknown_user"), (EventKind.SWITCH_ANSWERS, None),
        (EventKind.SWITCH_SILENT, "unknown_user"),
    ]  # fmt: skip


def test_a_wrong_privacy_passphrase_is_told_although_the_device_is_silent(agent, watch):
    watch.keep(watch.hides, "another phrase")
    error = watch.read()[0].error
    assert error.endswith("wrong privacy passphrase, or another protocol than AES-128")
    assert watch.told() == [(EventKind.SWITCH_SILENT, "wrong_privacy")]
    watch.keep(watch.hides, "secret phrase")
    assert watch.read()[0].up


def test_a_table_that_does_not_come_is_no_wrong_passphrase(agent, watch):
    # Its uptime was decrypted; large answers may get lost on their way.
    agent.distort = lambda right: [right] if len(right) < 300 else []
    assert watch.read()[0].error == "does not answer"


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (None, 0, "the privacy passphrase in {} cannot be read: No such file or directory"),
        ("secret phrase", 0o644, "{} may be read by others (mode 0644): chmod 600 {}"),
        ("short", 0o600, "the privacy passphrase in {} has less than 8 bytes, which no device takes"),
        ("", 0o600, "{} is empty: it should hold the privacy passphrase"),
    ],
)
def test_a_passphrase_that_cannot_be_had_is_told_and_shown(agent, watch, text, mode, why):
    watch.hides.unlink()
    if text is not None:
        watch.keep(watch.hides, text)
        watch.hides.chmod(mode)
    why = why.format(watch.hides, watch.hides)
    assert watch.read()[0].error == f"cannot be asked: {why}"
    assert watch.switches.lack() == Lack(why, "see [snmp_users.usual]", wrong=True)
    assert watch.told() == [(EventKind.SWITCH_SILENT, None)]
    assert agent.asked == 0
    watch.keep(watch.hides, "secret phrase")
    assert watch.read()[0].up
    assert watch.switches.lack() is None


def test_without_the_library_older_devices_are_asked_all_the_same(agent, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "Cryptodome.Cipher.AES", None)
    with Agent() as old:
        watch = Watch(agent, tmp_path, Device("old", "127.0.0.1", old.port))
        samples = watch.switches.read(1e9)
    assert {one.switch: one.error for one in samples} == {
        "core1": "cannot be asked: SNMPv3 needs PyCryptodome, which is not installed", "old": None,
    }  # fmt: skip
    lack = Lack("SNMPv3 needs PyCryptodome, which is not installed", "pip install 'dcdaemon[snmpv3]'", wrong=True)
    assert watch.switches.lack() == lack


def test_no_secret_is_in_what_is_told(agent, watch):
    for report in (None, *range(1, 7)):
        agent.report = report
        watch.read()
    agent.report = None
    watch.keep(watch.signs, "a wrong signing phrase")
    watch.read()
    said = f"{watch.events} {watch.switches.lack()}"
    assert "phrase" not in said.replace("passphrase", "")


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.floats(0, 1) | st.just(1.0)), max_size=8))
def test_a_device_that_talks_nonsense_stops_neither_its_round_nor_a_later_one(agent, watch, spoils):
    left = list(spoils)

    def spoil(right: bytes) -> list[bytes]:
        if not left:
            return [right]
        place, byte, kept = left.pop()
        spoilt = bytearray(right)
        spoilt[int(place * (len(right) - 1))] = byte
        return [bytes(spoilt[: max(1, int(kept * len(right)))])]

    agent.distort = spoil
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(snmp_client, "_TRY_S", 0.03)
        switch, ports = watch.read()
    assert switch.up is not bool(switch.error)
    assert bool(ports) or not switch.up
    agent.distort = lambda right: [right]
    assert watch.read()[0].up
