"""`--begin`: a job does not start before its time."""

import pytest
from scene import ADA, Scene, broken_promises

from dcdaemon.api.documents import wait_s
from dcdaemon.control import change
from dcdaemon.control.why import why
from dcdaemon.core.errors import BadInput
from dcdaemon.core.job import JobState
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.fakes.engine import Play


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def in_a(scene: Scene, seconds: float, **fields):
    return scene.run(begin_at=scene.clock.now() + seconds, **fields)


def test_a_job_starts_when_its_time_has_come_and_not_before(scene):
    job = in_a(scene, 100.0)
    scene.advance(99.0)
    assert scene.state(job) is JobState.WAITING
    scene.advance(1.0)
    assert scene.state(job) is JobState.RUNNING
    assert scene.job(job).started_at == job.submitted_at + 100.0


def test_until_then_it_says_so(scene):
    job = in_a(scene, 7200.0)
    told = why(scene.desk, job)
    assert (told.code, told.facts["begins_in_s"]) == (ReasonCode.BEGIN_TIME, 7200.0)
    assert told.sentence == "Job 1 is not to start before its begin time, in 2h."
    assert told.note == "begins in 2h"
    assert told.unblock.begin_at == job.spec.begin_at
    assert told.remedy == "It would start now if its begin time had come."


def test_a_time_that_has_passed_is_none(scene):
    job = in_a(scene, -3600.0)
    assert (job.state, job.spec.begin_at) == (JobState.RUNNING, None)


def test_the_next_begin_is_the_earliest(scene):
    assert scene.desk.book.next_due(scene.clock.now()) is None
    later, sooner = in_a(scene, 50.0), in_a(scene, 20.0)
    assert scene.desk.book.next_due(scene.clock.now()) == sooner.spec.begin_at
    scene.advance(20.0)
    assert scene.desk.book.next_due(scene.clock.now()) == later.spec.begin_at
    scene.advance(30.0)
    assert scene.desk.book.next_due(scene.clock.now()) is None


def test_a_begin_time_outlives_the_daemon(scene):
    job = in_a(scene, 100.0)
    scene.daemon()
    scene.advance(50.0)
    assert scene.state(job) is JobState.WAITING
    scene.daemon()
    scene.clock.advance(60.0)
    scene.daemon()
    scene.cycle()
    assert scene.state(job) is JobState.RUNNING


def test_a_clock_that_is_set_forward_brings_the_time_and_set_back_takes_it_away(scene):
    blocker = scene.run(gpus=4)
    job = in_a(scene, 3600.0)
    scene.clock.step_wall(3600.0)
    scene.cycle()
    assert why(scene.desk, job).code is ReasonCode.GPUS_BUSY
    scene.clock.step_wall(-3600.0)
    scene.cycle()
    change.release(scene.desk, ADA, change.hold(scene.desk, ADA, job.id).id)
    scene.cancel(blocker)
    scene.cycle()
    assert why(scene.desk, job).code is ReasonCode.BEGIN_TIME
    scene.advance(3600.0)
    assert scene.state(job) is JobState.RUNNING


def test_a_held_job_waits_for_its_release_after_its_time(scene):
    job = in_a(scene, 10.0, held=True)
    scene.advance(20.0)
    assert why(scene.desk, scene.job(job)).code is ReasonCode.HELD
    change.release(scene.desk, ADA, job.id)
    scene.cycle()
    assert scene.state(job) is JobState.RUNNING


def test_a_cancelled_job_does_not_come_back_at_its_time(scene):
    job = in_a(scene, 10.0)
    scene.cancel(job)
    scene.advance(20.0)
    assert scene.state(job) is JobState.CANCELLED


def test_a_job_waits_for_its_time_and_for_others_whichever_comes_last(scene):
    scene.run(Play(run_s=30.0))
    early, late = in_a(scene, 10.0, after=("1",)), in_a(scene, 60.0, after=("1",))
    scene.advance(30.0)
    assert [scene.state(job) for job in (early, late)] == [JobState.RUNNING, JobState.WAITING]
    scene.advance(30.0)
    assert scene.state(late) is JobState.RUNNING


def test_waiting_for_the_time_is_no_waiting_for_room(scene):
    job = in_a(scene, 100.0)
    scene.clock.advance(50.0)
    assert wait_s(scene.job(job), scene.clock.now()) == 0.0
    scene.run(gpus=4)
    scene.advance(80.0)
    assert wait_s(scene.job(job), scene.clock.now()) == 30.0
    assert scene.desk.book.queue.get(job.id).queued_at == job.spec.begin_at


@pytest.mark.parametrize("at", [-1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_time_is_bad_input(scene, at):
    with pytest.raises(BadInput) as caught:
        scene.submit(begin_at=at)
    assert caught.value.message == "the begin time is no time"
