"""A job that was taken for running and never ran: it waits again where that is proven, and is interrupted elsewhere."""

import pytest

from dcdaemon.control.finish import reconcile
from dcdaemon.core.job import JobState
from dcdaemon.core.ports import Unlaunched


@pytest.mark.parametrize(("ready", "state"), [(True, JobState.WAITING), (False, JobState.INTERRUPTED)])
def test_a_running_job_that_was_never_let_run_waits_again_where_that_is_proven(scene, monkeypatch, ready, state):
    job = scene.run()
    assert job.state is JobState.RUNNING
    monkeypatch.setattr(scene.engine, "adopt", lambda _job: Unlaunched(ready))
    reconcile(scene.desk, [job.id])
    after = scene.job(job)
    assert after.state is state
    assert scene.desk.book.holders() == {}
    if ready:
        assert (after.attempt, after.started_at, after.pid, after.gpus) == (0, None, None, ())
        assert [queued.id for queued in scene.desk.book.queue] == [job.id]


@pytest.mark.parametrize(("ready", "state"), [(True, JobState.CANCELLED), (False, JobState.INTERRUPTED)])
def test_one_that_was_cancelled_meanwhile_is_cancelled_where_that_is_proven(scene, monkeypatch, ready, state):
    job = scene.run()
    scene.engine.stop = lambda *_: None
    scene.cancel(job)
    monkeypatch.setattr(scene.engine, "adopt", lambda _job: Unlaunched(ready))
    reconcile(scene.desk, [job.id])
    assert scene.state(job) is state
