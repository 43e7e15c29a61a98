"""The real agent of net-snmp: what we read of this machine through it is what the kernel says."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from snmpd import Snmpd, running_snmpd

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import SwitchPortSample, SwitchSample
from dcdaemon.telemetry import snmp_client
from dcdaemon.telemetry.network import parse_net_dev
from dcdaemon.telemetry.snmp import Switches
from dcdaemon.telemetry.snmp_access import Access, Device

COMMUNITY = "words that only the agent knows"
CONFIG = f"""\
rocommunity "{COMMUNITY}" 127.0.0.1
sysName core1
"""
NET = Path("/sys/class/net")


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[Snmpd]:
    with running_snmpd(tmp_path, CONFIG) as agent:
        yield agent


class Watch:
    """The collector on the agent; each reading is a minute after the last one."""

    def __init__(self, agent: Snmpd) -> None:
        community = agent.folder / "community"
        community.write_text(COMMUNITY)
        community.chmod(0o600)
        self.events: list[Event] = []
        self.now_s = 0.0
        self._switches = Switches(
            [Device("core1", "127.0.0.1", agent.port)], Access(community), 60.0, self.events.append,
            monotonic=lambda: self.now_s,
        )  # fmt: skip

    def read(self) -> tuple[SwitchSample, dict[str, SwitchPortSample]]:
        self.now_s += 60.0
        switch, *ports = self._switches.read(time.time())
        return switch, {port.port: port for port in ports}


def test_what_snmpd_says_of_this_machine_is_what_the_kernel_says(snmpd):
    before = parse_net_dev(Path("/proc/net/dev").read_text())
    watch = Watch(snmpd)
    switch, ports = watch.read()
    after = parse_net_dev(Path("/proc/net/dev").read_text())

    assert (switch.up, switch.error) == (True, None)
    assert 0 <= switch.uptime_s < 60
    assert 0 < switch.latency_s < 2
    assert ports.keys() == before.keys() == after.keys()
    for name, port in ports.items():
        for field in ("received_bytes", "sent_bytes", "errors_in", "errors_out"):
            # The agent may have read the kernel some seconds before it was asked.
            assert getattr(port, field) <= after[name][field], (name, field)
        assert port.enabled is bool(int((NET / name / "flags").read_text(), 16) & 1)
    loopback = ports["lo"]
    assert loopback.up is True
    assert loopback.received_bytes > 0
    assert watch.events == []


def test_an_agent_that_goes_away_and_comes_back_is_told_with_its_new_start(snmpd):
    watch = Watch(snmpd)
    first, _ = watch.read()
    snmpd.stop()
    gone, ports = watch.read()
    assert (gone.up, gone.error) == (False, "cannot be asked: Connection refused")
    assert {(port.up, port.received_bytes) for port in ports.values()} == {(None, None)}
    snmpd.start()
    back, ports = watch.read()
    assert back.up
    assert ports
    kinds = [event.kind for event in watch.events]
    assert kinds[:2] == [EventKind.SWITCH_SILENT, EventKind.SWITCH_ANSWERS]
    assert kinds[2:] == ([EventKind.COUNTER_RESET] if back.uptime_s < first.uptime_s else [])


def test_a_wrong_community_is_met_with_silence(snmpd, monkeypatch):
    monkeypatch.setattr(snmp_client, "_TRY_S", 0.3)
    watch = Watch(snmpd)
    (snmpd.folder / "community").write_text("public")
    switch, _ = watch.read()
    assert switch.error == "does not answer"
