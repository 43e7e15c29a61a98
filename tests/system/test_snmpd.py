"""The real agent of net-snmp: what we read of this machine through it is what the kernel says."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import SwitchPortSample, SwitchSample
from dcdaemon.telemetry import snmp_client
from dcdaemon.telemetry.network import parse_net_dev
from dcdaemon.telemetry.snmp import Device, Switches

COMMUNITY = "words that only the agent knows"
CONFIG = """\
agentAddress udp:127.0.0.1:{port}
rocommunity "{community}" 127.0.0.1
sysName core1
"""
NET = Path("/sys/class/net")


@dataclass
class Snmpd:
    """An agent of our own on a port of loopback; `start` and `stop` it as often as needed."""

    program: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "snmpd.conf"
        config.write_text(CONFIG.format(port=self.port, community=COMMUNITY))
        log = self.folder / "log"
        # Nothing of the machine's own configuration, no MIB files, and its state in a folder of the test.
        env = {**os.environ, "MIBS": "", "SNMPCONFPATH": str(self.folder), "SNMP_PERSISTENT_DIR": str(self.folder)}
        self.process = subprocess.Popen(
            [self.program, "-f", "-r", "-C", "-c", str(config), "-Lf", str(log), "-p", str(self.folder / "pid")],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._wait_until_it_listens(log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def _wait_until_it_listens(self, log: Path) -> None:
        local = f"0100007F:{self.port:04X}"
        for _ in range(200):
            if local in Path("/proc/net/udp").read_text():
                return
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(log.read_text())


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[Snmpd]:
    program = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("snmpd is not installed, and CI has to try the real one: apt-get install snmpd")
        pytest.skip("snmpd is not installed: apt-get install snmpd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = Snmpd(program, tmp_path, port)
    agent.start()
    yield agent
    agent.stop()


class Watch:
    """The collector on the agent; each reading is a minute after the last one."""

    def __init__(self, agent: Snmpd) -> None:
        community = agent.folder / "community"
        community.write_text(COMMUNITY)
        community.chmod(0o600)
        self.events: list[Event] = []
        self.now_s = 0.0
        self._switches = Switches(
            [Device("core1", "127.0.0.1", agent.port)], community, 60.0, self.events.append,
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
