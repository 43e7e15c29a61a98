"""A daemon on the GPUs of a driver: values, errors and jobs through its HTTP door, and letting go of the driver."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from patience import alive
from system.daemon_process import until

from benchmarks.node import Node, running_node
from dcdaemon.core.errors import Refused


@pytest.fixture
def driver(tmp_path: Path) -> FakeDriver:
    driver = FakeDriver(build(tmp_path), tmp_path / "fake", 2, profile="h100")
    for gpu in range(2):
        driver.load(gpu, 0.8, ago_s=60)
    return driver


@pytest.fixture
def node(driver: FakeDriver, tmp_path: Path) -> Iterator[Node]:
    with running_node(driver={"LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML_STATE": str(tmp_path / "fake")}) as node:
        yield node


def gpus(node: Node) -> list[dict]:
    return node.client.get("/v1/gpus")["gpus"]


def events(node: Node, kind: str) -> list[dict]:
    return node.client.get("/v1/events", {"kind": kind})["events"]


def state(node: Node, job: int) -> str:
    return node.client.get(f"/v1/jobs/{job}")["state"]


def test_values_of_the_driver_reach_the_door(node):
    until(lambda: all(gpu["sm_active_ratio"] for gpu in gpus(node)))
    first = gpus(node)[0]
    assert (first["util_ratio"], first["pcie_link_gen"], first["nvlink_links_up"], first["migs"]) == (0.8, 5, 18, [])
    assert 0 <= first["sample_age_s"] < 5


def test_an_error_of_a_gpu_is_an_event_of_the_job_that_holds_it(node, driver):
    (job,) = node.submit(["sleep", "600"], gpus=2)

    def told() -> list[dict]:
        driver.event(1, "xid", 79)  # one that comes before we listen is never delivered
        return events(node, "xid")

    event = until(told)[0]
    assert (event["gpu"], event["job_id"], event["evidence"]["xid"]) == (1, job, 79)
    until(lambda: gpus(node)[1]["last_xid"] == 79)


def test_a_released_driver_is_left_alone_until_it_is_taken_back(node, driver):
    child = children(node.process.pid, "nvml_child")
    answer = node.client.post("/v1/gpus/release", {"for_s": 600})
    assert not any(alive(pid) for pid in child)
    assert answer["released_until"]
    assert {gpu["state"] for gpu in answer["gpus"]} == {"unhealthy"}
    (job,) = node.submit(["true"], gpus=1)
    until(lambda: "the driver is released until " in node.client.get(f"/v1/jobs/{job}/why")["sentence"])
    driver.reload()

    node.client.post("/v1/gpus/release", {"for_s": 0})
    until(lambda: state(node, job) == "succeeded")
    until(lambda: events(node, "driver_released") and events(node, "driver_returned"))


def test_a_job_that_holds_gpus_is_not_surprised(node):
    (job,) = node.submit(["sleep", "600"], gpus=1)
    until(lambda: state(node, job) == "running")
    with pytest.raises(Refused, match=f"job {job} holds GPUs"):
        node.client.post("/v1/gpus/release", {"for_s": 600})
    assert node.client.post("/v1/gpus/release", {"for_s": 600, "force": True})["released_until"]


def children(pid: int, program: str) -> list[int]:
    """Return the children of a process that run this program."""
    listed = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    found = [child for child in listed if program in Path(f"/proc/{child}/cmdline").read_text()]
    assert found
    return [int(child) for child in found]
