"""Real interfaces in a network namespace of their own: renamed, taken away, unplugged, switched off."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

READER = """
import dataclasses, json, sys
from pathlib import Path
from dcdaemon.telemetry.network import Interfaces
from dcdaemon.telemetry.resets import Resets
from dcdaemon.telemetry.tcp import Tcp

events = []
interfaces = Interfaces(Path("/proc"), Path("/sys"), events.append)
resets, tcp = Resets(events.append), Tcp(Path("/proc"), events.append)
for line in sys.stdin:
    samples = interfaces.read(float(line))
    resets.check(samples)
    told = [dataclasses.asdict(event) for event in events]
    events.clear()
    print(json.dumps([[dataclasses.asdict(sample) for sample in samples], told, tcp.read(0.0)]), flush=True)
"""


class Namespace:
    """A network namespace with a reader inside; `ip` runs iproute2 in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tcp: dict[str, int | None] = {}
        self._reader: subprocess.Popen[str] | None = None

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", "-n", self.name, *words], check=True, capture_output=True, timeout=30)

    def read(self, at: float) -> tuple[dict[str, dict[str, object]], list[tuple[str, str]]]:
        """Return the samples by interface, and what was told: kind and subject."""
        reader = self._reader or self._start()
        reader.stdin.write(f"{at}\n")
        reader.stdin.flush()
        samples, events, self.tcp = json.loads(reader.stdout.readline())
        return {one["interface"]: one for one in samples}, [(one["kind"], one["subject"]) for one in events]

    def wait(self, at: float, name: str, *, up: bool) -> None:
        """Read until an interface is up or down: the kernel takes its time."""
        for _ in range(200):
            if self.read(at)[0][name]["up"] is up:
                return
            time.sleep(0.05)
        raise AssertionError(f"{name} does not get there")

    def close(self) -> None:
        if self._reader is not None:
            self._reader.stdin.close()
            assert self._reader.wait(10) == 0
            self._reader.stdout.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True, timeout=30)

    def _start(self) -> subprocess.Popen[str]:
        # `ip netns exec` mounts the namespace's own /sys as well.
        command = ["ip", "netns", "exec", self.name, sys.executable, "-c", READER]
        root = Path(__file__).parents[2]
        self._reader = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ}
        )
        return self._reader


def refused(*words: str) -> str | None:
    """Return why a command does not work here, or None."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)
    return done.stderr.strip() or "no reason given" if done.returncode else None


@pytest.fixture
def space() -> Iterator[Namespace]:
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("making a network namespace needs root and iproute2")
    space = Namespace(f"dcdtest{os.getpid()}")
    why = refused("ip", "netns", "add", space.name)
    if why:
        pytest.skip(f"no network namespace can be made here: {why}")
    try:
        why = refused("ip", "-n", space.name, "link", "add", "lan0", "type", "veth", "peer", "name", "vethfar")
        if why:
            pytest.skip(f"no pair of interfaces can be made here: {why}")
        for name in ("lan0", "vethfar"):
            space.ip("link", "set", name, "up")
        yield space
    finally:
        space.close()


def test_a_real_interface_is_renamed_and_its_counters_go_on(space):
    space.ip("addr", "add", "192.0.2.1/24", "dev", "lan0")
    space.ip("neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "lan0")
    before, told = space.read(0)
    assert (before.keys(), told) == ({"lan0"}, [])
    assert before["lan0"]["up"] is True
    send = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(bytes(1000), ('192.0.2.2', 9))"
    subprocess.run(["ip", "netns", "exec", space.name, sys.executable, "-c", send], check=True, timeout=30)
    space.ip("link", "set", "lan0", "down")
    space.ip("link", "set", "lan0", "name", "fabric0")
    space.ip("link", "set", "fabric0", "up")
    after, told = space.read(5)
    assert (after.keys(), told) == ({"fabric0"}, [("device_renamed", "fabric0")])
    assert after["fabric0"]["sent_bytes"] >= before["lan0"]["sent_bytes"] + 1000
    assert after["fabric0"]["packets_out"] > before["lan0"]["packets_out"]
    assert after["fabric0"]["carrier_changes"] >= 2


def test_real_interfaces_come_and_go(space):
    space.read(0)
    space.ip("link", "add", "br-jobs", "type", "bridge")
    found, told = space.read(5)
    assert (found.keys(), told) == ({"lan0", "br-jobs"}, [("device_new", "br-jobs")])
    space.ip("link", "del", "lan0")
    found, told = space.read(10)
    assert (found.keys(), told) == ({"br-jobs"}, [("device_gone", "lan0")])


def test_a_real_interface_made_anew_under_its_old_name_is_another_one(space):
    space.ip("link", "add", "br-jobs", "type", "bridge")
    space.read(0)
    space.ip("link", "del", "br-jobs")
    space.ip("link", "add", "br-jobs", "type", "bridge")
    found, told = space.read(5)
    assert told == [("device_gone", "br-jobs"), ("device_new", "br-jobs")]
    assert found["br-jobs"]["received_bytes"] == 0


def test_real_interfaces_swap_their_names(space):
    space.ip("link", "add", "br-jobs", "type", "bridge")
    before, _ = space.read(0)
    space.ip("link", "set", "lan0", "down")
    for was, name in (("lan0", "spare"), ("br-jobs", "lan0"), ("spare", "br-jobs")):
        space.ip("link", "set", was, "name", name)
    after, told = space.read(5)
    # What is called lan0 now has counted less than what was: for whoever follows the name, its counters fell.
    assert sorted(told) == [("counter_reset", "lan0"), ("device_renamed", "br-jobs"), ("device_renamed", "lan0")]
    assert after["br-jobs"]["carrier_changes"] > before["br-jobs"]["carrier_changes"]


def test_a_real_link_that_is_unplugged_is_down_and_one_switched_off_is_not(space):
    space.read(0)
    space.ip("link", "set", "vethfar", "down")  # the other end of the cable
    found, told = space.read(5)
    assert (found["lan0"]["up"], told) == (False, [])
    assert space.read(245)[1] == [("link_down", "lan0")]
    space.ip("link", "set", "vethfar", "up")
    found, told = space.read(250)
    assert (found["lan0"]["up"], told) == (True, [("link_up", "lan0")])
    space.ip("link", "set", "lan0", "down")
    assert space.read(255)[0]["lan0"]["up"] is False
    assert space.read(1000)[1] == []


def test_a_real_link_that_flaps_between_readings_is_noticed(space):
    space.read(0)
    told = []
    for at in (100, 200, 300):
        space.ip("link", "set", "vethfar", "down")
        space.ip("link", "set", "vethfar", "up")
        found, events = space.read(at)
        assert found["lan0"]["up"] is True
        told += events
    assert told == [("link_flapping", "lan0")]


def test_a_real_bridge_whose_last_port_went_is_not_told_as_unplugged(space):
    space.ip("link", "add", "br-jobs", "type", "bridge")
    space.ip("link", "set", "br-jobs", "up")
    space.ip("link", "set", "vethfar", "master", "br-jobs")
    space.wait(0, "br-jobs", up=True)
    space.ip("link", "set", "vethfar", "nomaster")
    space.wait(5, "br-jobs", up=False)
    assert space.read(600)[1] == []


def test_tcp_counts_are_those_of_the_namespace(space):
    space.read(0)
    assert space.tcp == {"tcp_segments_out": 0, "tcp_retransmits": 0, "tcp_timeouts": 0, "tcp_listen_drops": 0}
