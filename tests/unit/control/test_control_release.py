"""Letting go of the driver: who may, when, and what becomes of the GPUs meanwhile."""

import pytest
from scene import ADA, ROOT, Scene, broken_promises

from dcdaemon.control.release import release_driver
from dcdaemon.control.why import why
from dcdaemon.core.errors import Forbidden, Refused
from dcdaemon.core.job import JobState
from dcdaemon.core.view import GpuBlock
from dcdaemon.fakes.gpus import SimulatedGpus


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.desk.source = SimulatedGpus(4, dict, scene.clock)
    scene.desk.board.gpus = scene.desk.source.read()
    yield scene
    assert broken_promises(scene) == []


def blocked(scene: Scene) -> set[GpuBlock | None]:
    return {slot.blocked for slot in scene.desk.book.node.gpus}


def test_a_released_driver_gets_no_job_and_says_why(scene):
    release_driver(scene.desk, ROOT, 600.0)
    assert blocked(scene) == {GpuBlock.HEALTH}
    job = scene.run(gpus=1)
    assert job.state is JobState.WAITING
    assert "the driver is released (dcd gpus release --end takes it back)" in why(scene.desk, job).sentence
    assert scene.desk.board.gpus.released_until == scene.clock.now() + 600


def test_the_driver_comes_back_by_itself_or_when_an_operator_says_so(scene):
    release_driver(scene.desk, ROOT, 600.0)
    release_driver(scene.desk, ROOT, 0.0)
    assert blocked(scene) == {None}
    assert scene.run(gpus=4).state is JobState.RUNNING


def test_only_operators_release(scene):
    with pytest.raises(Forbidden, match="ada may not release the driver"):
        release_driver(scene.desk, ADA, 600.0)
    assert scene.desk.board.gpus.released_until is None


@pytest.mark.parametrize(
    ("jobs", "words"), [(1, "job 1 holds GPUs, and the driver with them"), (2, "jobs 1, 2 hold GPUs, and the driver")]
)
def test_while_jobs_hold_gpus_it_is_refused_unless_it_is_meant(scene, jobs, words):
    for _ in range(jobs):
        scene.run(gpus=2)
    scene.run(gpus=0)
    with pytest.raises(Refused, match=words) as refused:
        release_driver(scene.desk, ROOT, 600.0)
    assert "--force only stops the reading" in refused.value.hint
    assert scene.desk.board.gpus.released_until is None

    release_driver(scene.desk, ROOT, 600.0, force=True)
    assert scene.desk.board.gpus.samples == ()
    assert len(scene.desk.book.holders()) == 2 * jobs
    release_driver(scene.desk, ROOT, 0.0)
    assert scene.desk.board.gpus.released_until is None


def test_a_job_that_starts_while_the_driver_is_let_go_of_keeps_it(scene, monkeypatch):
    let_go = scene.desk.source.release

    def release(for_s):
        if for_s:
            scene.run(gpus=1)
        let_go(for_s)

    monkeypatch.setattr(scene.desk.source, "release", release)
    with pytest.raises(Refused, match="job 1 holds GPUs"):
        release_driver(scene.desk, ROOT, 600.0)
    assert scene.desk.board.gpus.released_until is None
    assert blocked(scene) == {None}


def test_a_daemon_that_reads_no_gpus_says_so():
    with pytest.raises(Refused, match="reads no GPUs"):
        release_driver(Scene().desk, ROOT, 600.0)
