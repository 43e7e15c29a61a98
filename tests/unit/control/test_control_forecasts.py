"""Each job is told at submit when it will start; what came of it is scored, across restarts too."""

import pytest
from scene import ADA, ENV, Scene

from dcdaemon.control import remember
from dcdaemon.control.desk import Desk
from dcdaemon.control.forecasts import Forecasts
from dcdaemon.control.submit import submit
from dcdaemon.control.why import why
from dcdaemon.core.job import Job
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.start_time_score import StartAccuracy

HOUR_S = 3600.0


@pytest.fixture
def scene() -> Scene:
    return restarted(Scene(gpus=2))


def restarted(scene: Scene) -> Scene:
    """Let the daemon begin as the real one does, with a memory and a score."""
    desk = scene.daemon(shortest)
    remember.begin(desk)
    return scene


def shortest(desk: Desk) -> None:
    desk.policy = Policy(order=Order.SHORTEST)
    desk.listeners.append(desk.forecasts.noted)


def told_s(job: Job) -> tuple[float, float, float]:
    """Return the three waits that were foretold."""
    times = [job.forecast_low_at, job.forecast_at, job.forecast_high_at]
    return tuple(at - job.submitted_at for at in times if at is not None)


def accuracy(scene: Scene) -> StartAccuracy:
    desk = scene.desk
    return desk.forecasts.accuracy(desk.book.unfinished(), desk.clock.now())


def test_a_job_that_fits_is_told_that_it_starts_at_once(scene):
    job = scene.submit(gpus=2)
    assert told_s(job) == (0.0, 0.0, 60.0)
    assert told_s(scene.job(job)) == (0.0, 0.0, 60.0)


def test_a_job_that_has_to_wait_is_told_until_about_when(scene):
    scene.run(Play(run_s=None), gpus=2)
    low, at, high = told_s(scene.submit(gpus=1))
    assert 0 <= low < at < high
    assert at > 60


def test_of_jobs_of_one_request_only_those_that_fit_together_start_at_once(scene):
    jobs = submit(scene.desk, ADA, [scene.wish(gpus=1)] * 4, ENV)
    waits_s = [told_s(job)[1] for job in jobs]
    assert waits_s[:2] == [0.0, 0.0]
    assert 0.0 < waits_s[2] < waits_s[3]


def test_a_job_that_waits_for_more_than_room_is_told_nothing(scene):
    first = scene.submit(gpus=1)
    later = scene.clock.now() + HOUR_S
    others = [scene.submit(held=True), scene.submit(after=(str(first.id),)), scene.submit(begin_at=later)]
    assert [told_s(job) for job in others] == [(), (), ()]


def test_tasks_that_wait_for_their_own_array_are_told_nothing(scene):
    tasks = submit(scene.desk, ADA, [scene.wish(gpus=0, array="0-3%2")], ENV)
    assert [bool(told_s(job)) for job in tasks] == [True, True, False, False]


def test_what_was_submitted_just_before_goes_first(scene):
    scene.run(Play(run_s=None), gpus=2)
    alone_s = told_s(scene.submit(gpus=1))[1]
    assert told_s(scene.submit(gpus=1))[1] > alone_s


def test_starts_are_scored_once_each(scene):
    scene.run(Play(run_s=HOUR_S), gpus=2)
    scene.submit(Play(run_s=None), gpus=2)
    scene.cycle()
    assert accuracy(scene) == StartAccuracy(1, 0, within_ratio=1.0, at_once_ratio=1.0)
    scene.advance(HOUR_S)
    scored = accuracy(scene)
    assert (scored.jobs, scored.within_ratio) == (2, 1.0)
    assert scored.typical_error_ratio is not None


def test_a_job_that_waits_for_longer_than_it_was_told_is_a_miss_before_it_starts(scene):
    scene.run(Play(run_s=None), gpus=2)
    waiting = scene.submit(gpus=1)
    scene.clock.advance(told_s(waiting)[2] + 1)
    assert accuracy(scene) == StartAccuracy(1, 1, within_ratio=0.5, at_once_ratio=1.0)


def test_the_score_survives_a_restart(scene):
    scene.run(Play(run_s=HOUR_S), gpus=2)
    scene.submit(Play(run_s=HOUR_S), gpus=2)
    scene.advance(HOUR_S)
    scene.advance(HOUR_S)
    before = accuracy(scene)
    assert before.jobs == 2
    restarted(scene)
    assert accuracy(scene) == before


def test_a_second_attempt_is_not_scored(scene):
    job = scene.run(Play(run_s=1.0), gpus=1, requeue=True)
    forecasts = Forecasts()
    forecasts.recall([job, Job(9, "n1", job.spec, job.state, 0.0, started_at=1.0, attempt=2, forecast_at=0.0)])
    assert forecasts.accuracy([], 0.0).jobs == 1


def test_after_a_restart_forecasts_are_made_from_the_past(scene):
    scene.run(Play(run_s=None), gpus=2)
    before = told_s(scene.submit(gpus=1, held=False))
    scene.cancel(scene.jobs()[-1])
    restarted(scene)
    assert told_s(scene.submit(gpus=1)) == pytest.approx(before)


def test_why_falls_back_on_what_was_foretold_at_submit(scene):
    scene.run(Play(run_s=None), gpus=2)
    scene.desk.policy = Policy()
    waiting = scene.submit(gpus=2)
    reason = why(scene.desk, waiting)
    assert reason.expected_start_at is not None
    assert reason.expected_high_at is not None


def test_a_daemon_without_a_memory_foretells_nothing():
    assert told_s(Scene().submit()) == ()
