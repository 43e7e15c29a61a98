"""A container on a GPU of a driver: a real process in a control group as docker names it, beside real jobs."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from system.daemon_process import until

from benchmarks.node import Node, running_node

ID = "3f2a1b9c0d12" + "ab" * 26
HELD_BYTES = 3 * 2**30
#: The hierarchy to make a group in: the one of control groups v2, or any of v1.
HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/freezer"))


@pytest.fixture
def driver(tmp_path: Path) -> FakeDriver:
    return FakeDriver(build(tmp_path), tmp_path / "fake", 1, profile="h100")


@pytest.fixture
def node(driver: FakeDriver, tmp_path: Path) -> Iterator[Node]:
    fake = {"LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML_STATE": str(tmp_path / "fake")}
    with running_node(driver={**fake, "DCD_GPUS__POLL_INTERVAL": "200ms"}) as node:
        yield node


@pytest.fixture
def docker_group() -> Iterator[Path]:
    """A control group with the name that docker gives that of a container."""
    with contextlib.ExitStack() as stack:
        for hierarchy in HIERARCHIES:
            if not (hierarchy / "cgroup.procs").exists():
                continue
            with contextlib.suppress(OSError):
                made = [path for path in (hierarchy / "docker", hierarchy / "docker" / ID) if not path.exists()]
                for path in made:
                    path.mkdir()
                    stack.callback(path.rmdir)
                yield made[-1]
                return
        pytest.skip("no control group can be made here")


@pytest.fixture
def start_container(docker_group: Path, driver: FakeDriver) -> Iterator[Callable[..., int]]:
    """Start a process in the group that holds the GPU, no child of any job, as a runtime does."""
    with contextlib.ExitStack() as stack:

        def start(**env: str) -> int:
            process = subprocess.Popen(
                ["sleep", "600"], env={"PATH": os.environ["PATH"], **env}, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            (docker_group / "cgroup.procs").write_text(str(process.pid))
            driver.gpu(0, compute=f"{process.pid}:{HELD_BYTES}", mem_used=HELD_BYTES, bound=1)
            return process.pid

        yield start


def gpu(node: Node) -> dict:
    return node.client.get("/v1/gpus")["gpus"][0]


def state(node: Node, job: int) -> str:
    return node.client.get(f"/v1/jobs/{job}")["state"]


def test_a_container_is_its_jobs_and_foreign_from_the_end_of_the_job(node, start_container):
    (job,) = node.submit(["sleep", "600"], gpus=1)
    until(lambda: state(node, job) == "running")
    pid = start_container(DCD_JOB_ID=str(job))
    [process] = until(lambda: gpu(node)["processes"], "the process on the GPU")
    assert (process["pid"], process["job_id"], process["job_by"], process["container"]["id"]) == (pid, job, "mark", ID)
    assert gpu(node)["state"] == "busy"

    (next_job,) = node.submit(["true"], gpus=1)
    node.client.post("/v1/jobs/cancel", {"select": [str(job)], "signal": "KILL"})
    until(lambda: gpu(node)["state"] == "foreign", "a foreign process")
    # Never given out meanwhile: the next job has not run, and knows why.
    assert state(node, next_job) == "waiting"
    assert f"pid {pid} (sleep 600" in node.client.get(f"/v1/jobs/{next_job}/why")["sentence"]
    [anomaly] = until(lambda: node.client.get("/v1/anomalies")["anomalies"], "an anomaly")
    assert f"docker {ID[:12]}, which names job {job} in its environment; docker stop {ID[:12]}" in anomaly["message"]

    os.kill(pid, 9)
    until(lambda: state(node, next_job) == "succeeded")


def test_a_container_beside_the_queue_is_foreign_however_it_calls_itself(node, start_container):
    pid = start_container(DCD_JOB_ID="1")
    until(lambda: gpu(node)["state"] == "foreign", "a foreign process")
    (job,) = node.submit(["true"], gpus=1)
    assert job == 1
    until(lambda: f"pid {pid}" in node.client.get(f"/v1/jobs/{job}/why")["sentence"])
    assert gpu(node)["processes"][0]["job_id"] is None
