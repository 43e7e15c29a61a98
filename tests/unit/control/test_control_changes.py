"""Cancel, hold, release and requeue, in every state a job can be in."""

import pytest
from scene import ADA, BOB, ROOT, Scene, broken_promises

from dcdaemon.control import change
from dcdaemon.core.errors import BadInput, Forbidden, NotFound, Refused
from dcdaemon.core.job import Job, JobState
from dcdaemon.fakes.engine import Play

VERBS = {"cancel": change.cancel, "hold": change.hold, "release": change.release, "requeue": change.requeue}
DEAF = Play(run_s=None, deaf=True)


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def waiting(scene: Scene) -> Job:
    scene.run(gpus=4)
    return scene.submit()


def running(scene: Scene) -> Job:
    return scene.run(gpus=2)


def stopping(scene: Scene) -> Job:
    return scene.cancel(scene.run(DEAF, gpus=2))


def ended(scene: Scene) -> Job:
    job = scene.run(Play(run_s=5.0))
    scene.advance(5.0)
    return scene.job(job)


STAGES = {"waiting": waiting, "running": running, "stopping": stopping, "succeeded": ended}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("stage", STAGES)
def test_only_the_owner_and_operators_may_change_a_job(scene, verb, stage):
    job = STAGES[stage](scene)
    with pytest.raises(Forbidden) as caught:
        VERBS[verb](scene.desk, BOB, job.id)
    assert caught.value.message == f"job {job.id} belongs to ada; bob may not {verb} it"
    assert caught.value.hint == "ask its owner or an operator of this node"
    assert scene.job(job) == job


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_that_does_not_exist_is_not_found(scene, verb):
    with pytest.raises(NotFound) as caught:
        VERBS[verb](scene.desk, ROOT, 42)
    assert (caught.value.message, caught.value.hint) == ("there is no job 42", "dcd ps -a lists all jobs")


def test_a_released_job_is_no_older_than_its_release(scene):
    scene.run(gpus=4)
    held, other = scene.submit(gpus=1, held=True), scene.submit(gpus=1)
    scene.advance(5.0)
    now = scene.clock.now()
    for job in (held, other):
        change.release(scene.desk, ADA, job.id)
    assert (scene.job(held).queued_at, scene.job(other).queued_at) == (now, other.queued_at)


REFUSED = [
    ("cancel", "succeeded", "job 1 has already ended (succeeded)", "dcd show 1"),
    ("requeue", "waiting", "job 2 waits already", "dcd why 2 tells what for"),
    *(
        (verb, stage, f"job 1 is {stage}; only a waiting job can be held or released", "dcd cancel 1 stops it")
        for verb in ("hold", "release")
        for stage in ("running", "stopping")
    ),
    *(
        (
            verb,
            "succeeded",
            "job 1 has ended: succeeded; only a waiting job can be held or released",
            "dcd requeue 1 runs it again",
        )
        for verb in ("hold", "release")
    ),
]


@pytest.mark.parametrize(("verb", "stage", "message", "hint"), REFUSED)
def test_a_verb_that_makes_no_sense_now_is_refused(scene, verb, stage, message, hint):
    job = STAGES[stage](scene)
    with pytest.raises(Refused) as caught:
        VERBS[verb](scene.desk, ADA, job.id)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert scene.job(job) == job


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(scene):
    blocker = scene.run(gpus=4)
    job = scene.submit()
    scene.clock.advance(3.0)
    cancelled = change.cancel(scene.desk, ROOT, job.id)
    assert (cancelled.state, cancelled.ended_at) == (JobState.CANCELLED, scene.clock.now())
    assert cancelled.cause == "cancelled by root before it started"
    scene.cancel(blocker)
    scene.advance(100.0)
    assert scene.engine.starts == [(blocker.id, 1)]


def test_a_running_job_is_stopping_until_it_is_gone_and_keeps_its_gpus(scene):
    job = scene.run(DEAF, gpus=4, grace_s=20.0)
    follower = scene.submit(gpus=1)
    assert scene.cancel(job).state is JobState.STOPPING
    scene.advance(19.9)
    assert (scene.state(job), scene.state(follower)) == (JobState.STOPPING, JobState.WAITING)
    scene.advance(0.1)
    gone = scene.job(job)
    assert (gone.state, gone.signal, gone.exit_code, gone.run_s) == (JobState.CANCELLED, 9, None, 20.0)
    assert gone.cause == "cancelled"
    assert scene.state(follower) is JobState.RUNNING


def test_signal_and_grace_of_a_cancel_are_the_caller_s(scene):
    job = scene.run(gpus=1)
    change.cancel(scene.desk, ADA, job.id, signal="INT")
    scene.cycle()
    assert (scene.job(job).signal, scene.state(job)) == (2, JobState.CANCELLED)
    deaf = scene.run(DEAF, grace_s=600.0)
    change.cancel(scene.desk, ADA, deaf.id, grace_s=5.0)
    scene.advance(5.0)
    assert scene.state(deaf) is JobState.CANCELLED


def test_a_second_cancel_may_be_harder_than_the_first(scene):
    job = scene.run(DEAF, grace_s=600.0)
    scene.cancel(job)
    scene.advance(60.0)
    change.cancel(scene.desk, ROOT, job.id, signal="KILL")
    assert [(row.action, row.user) for row in scene.store.audit(job_id=job.id)][1:] == [
        ("cancel", "ada"), ("cancel", "root"),
    ]  # fmt: skip
    scene.cycle()
    assert (scene.state(job), scene.job(job).run_s) == (JobState.CANCELLED, 60.0)


def test_a_signal_that_ends_no_job_is_bad_input(scene):
    job = running(scene)
    with pytest.raises(BadInput) as caught:
        change.cancel(scene.desk, ADA, job.id, signal="STOP")
    assert caught.value.message == "signal 'STOP' is not one of TERM, INT, HUP, USR1, USR2, QUIT, KILL"
    assert caught.value.hint == "leave --signal out for TERM"
    assert scene.state(job) is JobState.RUNNING


def test_a_held_job_lets_others_pass_until_it_is_released(scene):
    held, other = scene.submit(held=True, gpus=4), scene.submit(gpus=4)
    scene.cycle()
    assert (scene.state(held), scene.state(other)) == (JobState.WAITING, JobState.RUNNING)
    scene.cancel(other)
    scene.cycle()
    assert scene.state(held) is JobState.WAITING
    assert change.release(scene.desk, ADA, held.id).held is False
    scene.cycle()
    assert scene.state(held) is JobState.RUNNING


def test_a_waiting_job_can_be_held_before_its_turn_comes(scene):
    blocker, job = scene.run(gpus=4), scene.submit()
    assert change.hold(scene.desk, ADA, job.id).held is True
    scene.cancel(blocker)
    scene.cycle()
    assert scene.state(job) is JobState.WAITING


def test_an_ended_job_runs_again_as_a_new_attempt(scene):
    job = scene.run(Play(run_s=5.0, exit_code=3))
    scene.advance(5.0)
    assert scene.state(job) is JobState.FAILED
    requeued = change.requeue(scene.desk, ADA, job.id)
    assert (requeued.state, requeued.queued_at, requeued.gpus) == (JobState.WAITING, scene.clock.now(), ())
    scene.plays[job.id] = Play(run_s=1.0)
    scene.cycle()
    again = scene.job(job)
    assert (again.state, again.attempt, again.exit_code, again.ended_at) == (JobState.RUNNING, 2, None, None)
    scene.advance(1.0)
    assert scene.state(job) is JobState.SUCCEEDED
    assert scene.engine.starts == [(job.id, 1), (job.id, 2)]


def test_a_running_job_is_stopped_and_then_runs_again(scene):
    job = scene.run(DEAF, grace_s=10.0)
    change.requeue(scene.desk, ADA, job.id)
    assert scene.state(job) is JobState.STOPPING
    scene.advance(10.0)
    assert (scene.state(job), scene.job(job).attempt) == (JobState.RUNNING, 2)
    assert [row.action for row in scene.store.audit(job_id=job.id)] == ["submit", "requeue", "requeue"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_requeue_that_is_cancelled_does_not_run_again(scene, restart):
    job = scene.run(DEAF, grace_s=10.0)
    change.requeue(scene.desk, ADA, job.id)
    scene.cancel(job)
    if restart:
        scene.daemon()
    scene.advance(10.0)
    assert (scene.state(job), scene.engine.starts) == (JobState.CANCELLED, [(job.id, 1)])


def test_a_cancel_that_is_followed_by_a_requeue_runs_again(scene):
    job = scene.run(DEAF, grace_s=10.0)
    scene.cancel(job)
    change.requeue(scene.desk, ADA, job.id)
    scene.advance(10.0)
    assert (scene.state(job), scene.job(job).attempt) == (JobState.RUNNING, 2)


def test_every_change_is_in_the_audit_with_who_made_it(scene):
    job = scene.submit(held=True)
    change.release(scene.desk, ADA, job.id)
    change.hold(scene.desk, ROOT, job.id)
    scene.cancel(job)
    rows = scene.store.audit(job_id=job.id)
    assert [(row.action, row.user) for row in rows] == [
        ("submit", "ada"), ("release", "ada"), ("hold", "root"), ("cancel", "ada"),
    ]  # fmt: skip


def test_a_change_is_told_to_the_listeners_once_it_is_stored(scene):
    heard = []
    scene.desk.listeners.append(lambda job: heard.append((job, scene.store.job(job.id))))
    job = scene.submit(held=True)
    change.release(scene.desk, ADA, job.id)
    scene.cancel(job)
    assert [told.state for told, _ in heard] == [JobState.WAITING, JobState.WAITING, JobState.CANCELLED]
    assert all(told == stored for told, stored in heard)
