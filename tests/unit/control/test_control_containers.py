"""Whose container holds a GPU: what makes it a job's, what makes it foreign, and what becomes of it after the job."""

from dataclasses import replace

import pytest
from scene import Scene, broken_promises
from scene import instance as mig_instance

from dcdaemon.control.containers import attribute_containers, disowned
from dcdaemon.control.drain import refresh_slots
from dcdaemon.control.why import why
from dcdaemon.core.container import Container
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import GpuBlock

ID = "3f2a1b9c0d12" + "0" * 52
DOCKER = Container("docker", ID, image="pytorch:24.05")
GIB = 1024**3


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def seen(
    scene: Scene, container: Container, gpu: int = 0, age_s: float | None = 5.0, instance: str | None = None
) -> GpuProcess:
    """Read the GPUs while this container holds one, as the daemon does each second."""
    process = GpuProcess(77, 3 * GIB, user="root", command="python train.py", age_s=age_s, instance=instance)
    scene.sample({gpu: [process]})
    board = scene.desk.board
    board.gpus = attribute_containers(board.gpus, {77: container}, scene.desk.book.active(), scene.clock.now())
    show(scene)
    [found] = board.gpus.samples[gpu].processes or ()
    return found


def show(scene: Scene) -> None:
    scene.desk.board.gpus = disowned(scene.desk.board.gpus, {job.id for job in scene.desk.book.active()})
    refresh_slots(scene.desk)


def running(scene: Scene, **fields: object) -> Job:
    job = scene.run(**fields)
    scene.advance(60)
    return scene.job(job)


def names(job: Job | int, container: Container = DOCKER) -> Container:
    return replace(container, names_job=job if isinstance(job, int) else job.id)


def test_a_container_that_names_the_job_on_its_gpu_is_the_jobs(scene):
    job = running(scene)
    found = seen(scene, names(job))
    assert (found.job_id, found.job_by, found.container) == (job.id, "mark", names(job))
    assert scene.desk.book.node.gpus[0].blocked is None


def test_a_container_without_a_mark_belongs_to_the_only_job_on_its_gpu(scene):
    job = running(scene)
    assert (seen(scene, DOCKER).job_id, seen(scene, DOCKER).job_by) == (job.id, "gpu")


@pytest.mark.parametrize("age_s", [3600.0, None])
def test_a_container_older_than_the_job_or_of_unknown_age_is_not_the_jobs(scene, age_s):
    job = running(scene)
    assert seen(scene, names(job), age_s=age_s).job_id is None
    assert seen(scene, DOCKER, age_s=age_s).job_id is None


def test_nobody_plants_a_container_on_a_job_elsewhere(scene):
    job = running(scene)
    other = running(scene)
    # It names job 1, and holds the GPU of job 2, or one of nobody.
    assert seen(scene, names(job), gpu=other.gpus[0]).job_id is None
    assert seen(scene, names(job), gpu=3).job_id is None
    assert seen(scene, names(99)).job_id is None


def test_a_container_that_another_user_runs_is_not_the_jobs(scene):
    job = running(scene)  # ada's, uid 1001
    assert seen(scene, names(job, replace(DOCKER, owner_uid=1002))).job_id is None
    assert seen(scene, replace(DOCKER, owner_uid=1002)).job_id is None
    assert seen(scene, names(job, replace(DOCKER, owner_uid=1001))).job_id == job.id


def test_on_a_shared_gpu_only_the_mark_decides(scene):
    first, second = (running(scene, gpu_mem_bytes=10 * GIB) for _ in range(2))
    assert first.gpus == second.gpus
    assert seen(scene, DOCKER).job_id is None
    assert seen(scene, names(second)).job_id == second.id


def test_a_share_alone_on_its_gpu_needs_the_mark_too(scene):
    running(scene, gpu_mem_bytes=10 * GIB)
    assert seen(scene, DOCKER).job_id is None


def test_a_container_that_outlives_its_job_keeps_the_gpu_from_the_next_one(scene):
    job = running(scene, gpus=4)
    seen(scene, names(job))
    scene.desk.listeners.append(lambda _: show(scene))
    scene.cancel(job)
    scene.cycle()
    scene.cycle()
    assert scene.state(job) is JobState.CANCELLED
    block = scene.desk.book.node.gpus[0]
    assert (block.blocked, block.blocked_detail) == (
        GpuBlock.FOREIGN,
        "pid 77 (python train.py, root, 5s, 3 GiB, in docker 3f2a1b9c0d12 (pytorch:24.05))",
    )
    waiting = scene.run(gpus=4)
    assert waiting.state is JobState.WAITING
    said = why(scene.desk, waiting)
    assert said.code is ReasonCode.FOREIGN
    assert "in docker 3f2a1b9c0d12 (pytorch:24.05)" in said.sentence


def test_a_process_of_a_job_needs_no_container_to_be_its_own(scene):
    job = running(scene)
    process = GpuProcess(77, 3 * GIB, job_id=job.id)
    scene.sample({0: [process]})
    board = scene.desk.board
    assert attribute_containers(board.gpus, {77: DOCKER}, [job], scene.clock.now()) == board.gpus
    assert disowned(board.gpus, set()) == board.gpus


def test_a_container_in_the_instance_of_a_job_is_that_jobs_and_none_elsewhere(scene):
    migs = (mig_instance(0, "7/0"), mig_instance(0, "8/0"), mig_instance(0, "9/0"))
    scene.reading = replace(scene.reading, cut=frozenset({0}), migs=migs)
    scene.sample()
    first, second = running(scene, gpu_mem_bytes=5 * GIB), running(scene, gpu_mem_bytes=5 * GIB)
    assert (scene.job(first).gpu_instance, scene.job(second).gpu_instance) == ("7/0", "8/0")
    assert seen(scene, DOCKER, instance="8/0").job_id == second.id
    assert seen(scene, DOCKER, instance="9/0").job_id is None
    assert seen(scene, DOCKER).job_id is None
