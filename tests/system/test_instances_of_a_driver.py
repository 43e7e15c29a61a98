"""A daemon on a driver whose first GPU is cut by MIG: instances are given to jobs, shown, and taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from system.daemon_process import until

from benchmarks.node import Node, running_node
from dcdaemon.core.errors import NeverFits

GIB = 1024**3


@pytest.fixture
def driver(tmp_path: Path) -> FakeDriver:
    driver = FakeDriver(build(tmp_path), tmp_path / "fake", 2, profile="h100")
    for place in range(2):
        driver.mig(0, place)
    return driver


@pytest.fixture
def node(driver: FakeDriver, tmp_path: Path) -> Iterator[Node]:
    with running_node(driver={"LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML_STATE": str(tmp_path / "fake")}) as node:
        yield node


def job(node: Node, job_id: int) -> dict:
    return node.client.get(f"/v1/jobs/{job_id}")


def first_gpu(node: Node) -> dict:
    return node.client.get("/v1/gpus")["gpus"][0]


def states(node: Node) -> list[tuple[str, int | None]]:
    return [(mig["state"], mig["job_id"]) for mig in first_gpu(node)["migs"]]


def test_jobs_get_instances_and_see_them_by_the_name_that_cuda_takes(node):
    until(lambda: first_gpu(node)["cut"] and states(node) == [("free", None)] * 2)
    command = ["sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 600"]
    first, second, third = node.submit(command, count=3, gpus=1, gpu_mem_bytes=5 * GIB)
    until(lambda: job(node, third)["state"] == "running")
    places = [(job(node, one)["gpus"], job(node, one)["gpu_instance"]) for one in (first, second, third)]
    assert places == [([0], "7/0"), ([0], "8/0"), ([1], None)]
    assert states(node) == [("busy", first), ("busy", second)]
    told = ["MIG-fake-0000-0", "MIG-fake-0000-1", "1"]
    until(lambda: [node.log(one).strip() for one in (first, second, third)] == told)
    node.client.post("/v1/jobs/cancel", {"select": [str(first)]})
    until(lambda: states(node) == [("free", None), ("busy", second)])


def test_a_gpu_that_is_cut_is_no_whole_one(node):
    until(lambda: first_gpu(node)["cut"])
    with pytest.raises(NeverFits, match=r"2 GPUs, this node has 1\. 1 more is cut by MIG"):
        node.submit(["true"], gpus=2)
