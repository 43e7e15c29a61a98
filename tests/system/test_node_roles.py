"""A real daemon without simulated GPUs: what it says of its collectors, and a node that is not for computing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from system.daemon_process import WITHIN_S, until

from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unreachable


class Node:
    """One daemon on a state directory of its own, and what it answers."""

    def __init__(self, place: Path, **settings: str) -> None:
        self.client = Client(f"unix://{place}/dcd.sock", timeout_s=WITHIN_S)
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(place), "DCD_DAEMON__STATE_DIR": str(place / "state"),
            "DCD_DAEMON__SOCKET": f"{place}/dcd.sock", "DCD_URL": f"unix://{place}/dcd.sock", **settings,
        }  # fmt: skip
        with (place / "daemon.log").open("wb") as log:
            command = [sys.executable, "-m", "dcdaemon", "daemon", "run"]
            self.daemon = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def swept(self):
        """Return the daemon's status once every duty has ticked."""
        try:
            status = self.client.get("/v1/status")
        except Unreachable:
            assert self.daemon.poll() is None
            return None
        return status if status["collectors"] and all(duty["ticks"] for duty in status["duties"]) else None

    def doctor(self) -> str:
        command = [sys.executable, "-m", "dcdaemon", "doctor"]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def start(tmp_path):
    nodes = []

    def make(**settings):
        nodes.append(Node(tmp_path, **settings))
        return nodes[-1]

    yield make
    for node in nodes:
        node.daemon.terminate()
        node.daemon.wait(WITHIN_S)


def test_a_node_without_compute_starts_no_driver_and_misses_none(start):
    node = start(DCD_NODE__ROLES="storage,network")
    status = until(node.swept, "the first sweep")
    assert status["roles"] == ["storage", "network"]
    assert (status["driver_error"], status["gpus"]["total"]) == (None, 0)
    assert node.client.get("/v1/anomalies")["anomalies"] == []
    assert " ok    GPUs are not read: node.roles has storage, network, not compute\n" in node.doctor()


def test_every_collector_of_a_usual_node_reads_without_an_error(start):
    status = until(start().swept, "the first sweep")
    assert status["driver_error"] or status["driver_version"]
    running = {one["name"]: one for one in status["collectors"] if one["running"]}
    assert {"cpu", "memory", "pressure", "disks", "interfaces", "filesystems", "infiniband", "nfs"} <= running.keys()
    assert {name: one["error"] for name, one in running.items() if one["error"]} == {}
    assert running["cpu"]["last_duration_s"] > 0
