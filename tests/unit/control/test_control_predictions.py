"""Each job is queued with what is expected of it, and what it did is learned from."""

import pytest
from scene import ADA, BOB, ENV, ROOT, Scene

from dcdaemon.control import change
from dcdaemon.control.predictions import Predictions
from dcdaemon.control.submit import submit
from dcdaemon.core.job import JobState
from dcdaemon.core.prediction import Accuracy, PastRun, Source
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.predict import PRIOR

TRAIN = ("python", "train.py", "--lr", "0.1")
HOUR_S = 3600.0


@pytest.fixture
def scene():
    return Scene()


def ran(scene, run_s, **fields):
    """Run a job to its end."""
    job = scene.run(Play(run_s=run_s), argv=TRAIN, **fields)
    scene.advance(run_s + 1)
    return scene.job(job)


def test_a_job_is_stored_with_its_prediction(scene):
    job = scene.job(scene.submit(argv=TRAIN))
    assert (job.predicted_s, job.predicted_by) == (pytest.approx(PRIOR.run_s), "prior")
    assert type(job.predicted_by) is str
    limited = scene.job(scene.submit(argv=TRAIN, limit_s=60.0))
    assert (limited.predicted_s, limited.predicted_by) == (60.0, "limit")


def test_the_scheduler_is_told(scene):
    job = scene.submit(argv=TRAIN, limit_s=60.0, held=True)
    assert [queued.predicted_s for queued in scene.desk.book.queue] == [60.0]
    change.release(scene.desk, ADA, job.id)
    scene.cycle()
    assert [running.predicted_s for running in scene.desk.book.view().running] == [60.0]


def test_the_next_run_of_a_sweep_is_expected_to_last_as_long(scene):
    for _ in range(8):
        assert ran(scene, 60.0).state is JobState.SUCCEEDED
    expected = scene.submit(argv=("/usr/bin/python3", "/elsewhere/train.py", "--lr", "7e-5"))
    assert expected.predicted_s == pytest.approx(60, rel=0.2)
    assert expected.predicted_by == "history"
    assert scene.submit(actor=BOB, argv=("other",)).predicted_s > 60 * 2


def test_the_jobs_of_a_request_are_predicted_each_by_itself(scene):
    wishes = [scene.wish(limit_s=limit_s) for limit_s in (10.0, 20.0, 10.0)]
    jobs = submit(scene.desk, ADA, wishes, ENV)
    assert [job.predicted_s for job in jobs] == [10.0, 20.0, 10.0]
    assert [scene.job(job).predicted_s for job in jobs] == [10.0, 20.0, 10.0]


def test_a_job_that_is_requeued_gets_a_new_prediction(scene):
    first = ran(scene, 60.0)
    for _ in range(8):
        ran(scene, 60.0)
    assert scene.job(first).predicted_s > 1000
    change.requeue(scene.desk, ADA, first.id)
    assert scene.job(first).predicted_s == pytest.approx(60, rel=0.2)
    assert scene.job(first).predicted_by == "history"


def test_a_job_that_was_interrupted_and_runs_again_gets_a_new_prediction(scene):
    job = scene.run(Play(run_s=None), argv=TRAIN, requeue=True)
    for _ in range(8):
        ran(scene, 60.0)
    change.requeue(scene.desk, ADA, job.id)
    scene.advance(60)
    again = scene.job(job)
    assert again.predicted_s is not None
    assert again.predicted_s < job.predicted_s


def test_after_a_restart_it_is_all_known_again(scene):
    for _ in range(8):
        ran(scene, 60.0)
    expected = scene.desk.predictions.of([scene.submit(argv=TRAIN, held=True).spec])
    accuracy = scene.desk.predictions.accuracy()
    scene.daemon()
    assert scene.desk.predictions.of([scene.submit(argv=TRAIN, held=True).spec]) == expected
    assert scene.desk.predictions.accuracy() == accuracy


def test_what_ended_while_no_daemon_looked_is_learned_from_once(scene):
    job = scene.run(Play(run_s=60.0), argv=TRAIN)
    scene.clock.advance(100)
    scene.engine.tick()
    scene.daemon()
    assert scene.state(job) is JobState.SUCCEEDED
    assert scene.desk.predictions.accuracy().jobs == 1


def test_a_job_that_never_ran_teaches_nothing(scene):
    before = scene.desk.predictions.of([scene.submit(argv=TRAIN).spec])
    scene.cancel(scene.submit(argv=TRAIN, held=True))
    assert scene.desk.predictions.of([scene.submit(argv=TRAIN).spec]) == before
    assert scene.desk.predictions.accuracy() == Accuracy(0)


def test_errors_are_counted_for_jobs_that_were_not_cut_short():
    predictions = Predictions()
    told = PastRun("ada", TRAIN, 1, None, JobState.SUCCEEDED, 400.0, 100.0, "history")
    cut = [JobState.CANCELLED, JobState.PREEMPTED, JobState.INTERRUPTED, JobState.LOST]
    predictions.recall([told, *(told._replace(state=state) for state in cut)])
    assert predictions.accuracy() == Accuracy(1, 4.0, 0.0, 1.0)
    predictions.recall([told._replace(state=JobState.TIMED_OUT, run_s=100.0)])
    assert predictions.accuracy_by_source()[Source.HISTORY].jobs == 2


def test_runs_without_a_prediction_or_with_one_from_a_later_version_are_learned_from_all_the_same():
    predictions = Predictions()
    told = PastRun("ada", TRAIN, 1, None, JobState.SUCCEEDED, 60.0)
    predictions.recall([told] * 8 + [told._replace(predicted_s=10.0, predicted_by="oracle")])
    assert predictions.accuracy() == Accuracy(0)
    scene = Scene()
    scene.desk.predictions = predictions
    assert scene.submit(argv=TRAIN).predicted_s == pytest.approx(60, rel=0.2)


def test_whose_history_it_is_makes_a_difference(scene):
    for _ in range(8):
        ran(scene, 60.0)
    own, others = scene.submit(argv=TRAIN), scene.submit(argv=TRAIN, actor=ROOT)
    assert own.predicted_s < others.predicted_s
