"""What a living attempt tells of its GPUs, and whose they are then, where no database can be read."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dcdaemon.admin.db_on_disk import _claimed, _given
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.runner.processes import Identity, identify
from dcdaemon.runner.records import Running

GIB = 1024**3


@dataclass
class Attempt:
    """The directory of an attempt of which this process is alive."""

    process: Identity

    def outcome(self) -> Running:
        return Running(None)

    def processes(self) -> tuple[Identity, ...]:
        return (self.process,)

    def run_record(self) -> None:
        return None


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> Iterator[Any]:
    with subprocess.Popen(["sleep", "600"], env={"PATH": "/usr/bin:/bin", **request.param}) as process:
        found = identify(process.pid)
        assert found is not None
        yield Attempt(found)
        process.kill()


@pytest.mark.parametrize(
    ("attempt", "given"),
    [
        ({"DCD_GPUS": "0,3"}, ((0, 3), None, None)),
        ({"DCD_GPUS": "2", "DCD_GPU_MEM_BYTES": str(5 * GIB)}, ((2,), 5 * GIB, None)),
        ({"DCD_GPUS": "2", "DCD_GPU_MEM_BYTES": "5", "DCD_GPU_INSTANCE": "9/0"}, ((2,), 5, "9/0")),
        ({"DCD_GPUS": "2", "DCD_GPU_MEM_BYTES": "much", "DCD_GPU_INSTANCE": "../x"}, ((2,), None, None)),
        ({"DCD_GPUS": ""}, ((), None, None)), ({"DCD_GPUS": "a,b"}, ((), None, None)), ({}, ((), None, None)),
    ],
    indirect=["attempt"],
)  # fmt: skip
def test_a_living_job_is_asked_for_its_gpus_by_its_environment(attempt, given):
    assert tuple(_given(attempt)) == given


def a_job(number: int, mem_bytes: int | None = None, instance: str | None = None) -> Job:
    spec = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1, gpu_mem_bytes=mem_bytes)
    return Job(number, "n1", spec, JobState.RUNNING, 1.0, gpus=(0,), gpu_instance=instance)


@pytest.mark.parametrize(
    ("found", "known", "keeps"),
    [
        (a_job(1), a_job(2), False), (a_job(1, GIB), a_job(2, GIB), True), (a_job(1, GIB), a_job(2), False),
        (a_job(1), a_job(2, GIB), False), (a_job(1, GIB, "9/0"), a_job(2, GIB, "10/0"), True),
        (a_job(1, GIB, "9/0"), a_job(2, GIB, "9/0"), False), (replace(a_job(1), gpus=(1,)), a_job(2), True),
    ],
)  # fmt: skip
def test_what_a_living_attempt_has_is_no_other_jobs(found, known, keeps):
    claimed = {job.id: job.gpus for job in _claimed([found], {known.id: known})}
    assert claimed[found.id] == found.gpus
    assert claimed.get(known.id, (0,)) == ((0,) if keeps else ())
