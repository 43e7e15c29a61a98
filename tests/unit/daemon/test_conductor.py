"""The conductor's thread: woken by events, never by a poll, and nothing half done is forgotten."""

import time

import pytest
from scene import Scene, broken_promises

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.job import JobState
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.lifecycle import Stop
from dcdaemon.fakes.engine import Play


class Stage:
    """A scene with a conductor in place of the hand."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.stop = Stop()
        self.conductor = Conductor(self.stop.failed)
        self.scene.engine._on_end = self.conductor.ended
        self.scene.desk.wake = self.conductor.wake
        self.conductor.start(self.scene.desk)


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.conductor.stop()


def test_a_submit_is_enough_to_start_a_job_and_an_end_to_start_the_next(stage, until):
    scene = stage.scene
    first, second = scene.submit(Play(10.0), gpus=4), scene.submit(gpus=4)
    until(lambda: scene.state(first) is JobState.RUNNING)
    assert scene.state(second) is JobState.WAITING
    scene.clock.advance(10.0)
    scene.engine.tick()
    until(lambda: scene.state(second) is JobState.RUNNING)
    assert scene.state(first) is JobState.SUCCEEDED
    assert broken_promises(scene) == []


def test_an_idle_conductor_does_nothing_at_all(stage, until):
    until(lambda: stage.conductor.cycles >= 1)
    job = stage.scene.submit(gpus=1)
    until(lambda: stage.scene.state(job) is JobState.RUNNING)
    time.sleep(0.05)  # the wake of the start itself
    cycles = stage.conductor.cycles
    time.sleep(0.3)
    assert stage.conductor.cycles == cycles


def test_a_begin_time_wakes_the_conductor_by_itself(stage, until):
    until(lambda: stage.conductor.cycles >= 1)
    job = stage.scene.submit(begin_at=stage.scene.clock.now() + 0.05)
    until(lambda: stage.conductor.cycles >= 2)
    assert stage.scene.state(job) is JobState.WAITING
    stage.scene.clock.advance(0.05)
    until(lambda: stage.scene.state(job) is JobState.RUNNING)


def test_while_a_job_may_become_too_late_for_its_deadline_the_conductor_looks_again_now_and_then():
    stage = Stage()
    stage.conductor.stop()
    stage.scene.run(gpus=4)
    stage.scene.submit()
    assert stage.conductor._nap_s() is None
    stage.scene.submit(deadline_at=stage.scene.clock.now() + 7200.0)
    assert stage.conductor._nap_s() == 30.0


@pytest.mark.parametrize(("begins_in_s", "nap_s"), [(10.0, 10.0), (60.0, 60.0), (86_400.0, 60.0)])
def test_the_conductor_sleeps_until_the_next_begin_but_looks_at_the_clock_now_and_then(begins_in_s, nap_s):
    stage = Stage()
    stage.conductor.stop()
    assert stage.conductor._nap_s() is None
    stage.scene.submit(begin_at=stage.scene.clock.now() + begins_in_s)
    assert stage.conductor._nap_s() == nap_s
    stage.scene.clock.advance(2 * begins_in_s)
    assert stage.conductor._nap_s() == 0.0


def test_a_database_in_trouble_delays_the_start_and_loses_nothing(stage, until):
    scene = stage.scene
    save, refused = scene.store.save, []

    def unavailable(changes):
        refused.append(changes)
        raise StoreUnavailable("the disk is full", "make room")

    scene.store.save = unavailable
    job = scene.submit(gpus=1)
    until(lambda: refused and stage.conductor.trouble)
    assert stage.conductor.trouble == "the disk is full"
    scene.store.save = save
    until(lambda: scene.state(job) is JobState.RUNNING)
    until(lambda: stage.conductor.trouble is None)
    assert scene.engine.starts == [(job.id, 1)]


def test_while_an_engine_has_no_space_jobs_wait_and_ends_are_written_down(stage, until):
    scene = stage.scene
    running = scene.submit(Play(5.0, 3), gpus=2)
    until(lambda: scene.state(running) is JobState.RUNNING)
    scene.engine.full = "no job is started: the disk is full"
    job = scene.submit(gpus=1)
    until(lambda: stage.conductor.trouble == "no job is started: the disk is full")
    scene.clock.advance(5.0)
    scene.engine.tick()
    until(lambda: scene.state(running) is JobState.FAILED)
    assert (scene.state(job), scene.engine.starts) == (JobState.WAITING, [(running.id, 1)])
    scene.engine.full = None
    until(lambda: scene.state(job) is JobState.RUNNING)


def test_a_job_whose_start_could_not_be_written_down_is_found_running(stage, until):
    """The launch went well, and the database failed just then."""
    scene = stage.scene
    save, calls = scene.store.save, []

    def fails_once(changes):
        calls.append(changes)
        if len(calls) == 2:
            raise StoreUnavailable("the disk is full", "make room")
        return save(changes)

    scene.store.save = fails_once
    job = scene.submit(gpus=1)
    until(lambda: scene.state(job) is JobState.RUNNING)
    assert scene.engine.starts == [(job.id, 1)]
    assert scene.job(job).pid is not None


def test_an_end_that_could_not_be_written_down_is_written_down_later(stage, until):
    scene = stage.scene
    job = scene.submit(Play(5.0, 3), gpus=4)
    until(lambda: scene.state(job) is JobState.RUNNING)
    save, refused = scene.store.save, []

    def unavailable(changes):
        refused.append(changes)
        raise StoreUnavailable("the disk is full", "make room")

    scene.store.save = unavailable
    scene.clock.advance(5.0)
    scene.engine.tick()
    until(lambda: refused)
    scene.store.save = save
    until(lambda: scene.state(job) is JobState.FAILED)
    assert scene.job(job).exit_code == 3


def test_a_bug_in_a_cycle_brings_the_daemon_down(stage, until):
    def broken(_changes):
        raise ZeroDivisionError("a bug")

    stage.scene.store.save = broken
    stage.scene.submit(gpus=1)
    until(lambda: stage.stop.asked)
    assert (stage.stop.exit_code, stage.stop.reason) == (1, "conductor failed: a bug")
