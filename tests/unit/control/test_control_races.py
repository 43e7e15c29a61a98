"""Two at once: what was true when a decision was made is no longer true when it is carried out."""

import pytest
from scene import ADA, BOB, ENV, ROOT, Scene, broken_promises

from dcdaemon.control import change
from dcdaemon.control.drain import refresh_slots
from dcdaemon.control.start import apply_plan, launch_all, run_cycle
from dcdaemon.control.submit import submit
from dcdaemon.core.errors import Refused, StoreUnavailable
from dcdaemon.core.job import JobState
from dcdaemon.core.plan import Plan, Start
from dcdaemon.core.ports import GpuMark, StartOrder
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.cycle import plan


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def planned(scene: Scene) -> Plan:
    desk = scene.desk
    return plan(desk.book.view(), desk.book.queue, desk.policy, scene.clock.now())


@pytest.mark.parametrize("verb", [change.cancel, change.hold])
def test_a_job_that_was_cancelled_or_held_after_the_plan_does_not_start(scene, verb):
    job, other = scene.submit(gpus=2), scene.submit(gpus=2)
    made = planned(scene)
    assert [start.job_id for start in made.starts] == [job.id, other.id]
    verb(scene.desk, ADA, job.id)
    launch_all(scene.desk, apply_plan(scene.desk, made))
    assert scene.engine.starts == [(other.id, 1)]
    assert set(scene.desk.book.holders()) == set(scene.job(other).gpus)


def test_a_change_that_only_the_store_knows_is_learned_by_being_refused(scene):
    job = scene.submit(gpus=2)
    made = planned(scene)
    elsewhere = scene.desk
    other = scene.daemon()
    change.cancel(other, ADA, job.id)
    assert apply_plan(elsewhere, made) == []
    assert elsewhere.book.get(job.id) is None
    assert (elsewhere.book.holders(), len(elsewhere.book.queue)) == ({}, 0)


def test_a_gpu_that_was_given_away_meanwhile_is_not_given_twice(scene):
    first, second = scene.submit(gpus=2), scene.submit(gpus=2)
    start = Start(second.id, "n1", (1, 2))
    made = Plan((Start(first.id, "n1", (0, 1)), start), (), scene.clock.now())
    granted = apply_plan(scene.desk, made)
    launch_all(scene.desk, granted)
    assert [job.id for job in granted] == [first.id]
    assert scene.state(second) is JobState.WAITING
    run_cycle(scene.desk)
    assert scene.job(second).gpus == (2, 3)


class Interrupting:
    """Lets something happen in the middle of an engine's start."""

    def __init__(self, scene: Scene, act, *, before: bool = False) -> None:
        self._start, self._act, self._before = scene.engine.start, act, before
        scene.engine.start = self

    def __call__(self, order: StartOrder):
        if self._before:
            self._act(order.job)
            return self._start(order)
        try:
            return self._start(order)
        finally:
            self._act(order.job)


@pytest.mark.parametrize("before", [True, False])
def test_a_job_that_is_cancelled_while_it_is_launched_is_stopped(scene, before):
    Interrupting(scene, scene.cancel, before=before)
    job = scene.submit(gpus=2)
    scene.cycle()
    scene.cycle()
    assert scene.state(job) is JobState.CANCELLED
    assert scene.desk.book.holders() == {}


@pytest.mark.parametrize("before", [True, False])
def test_a_job_that_is_requeued_while_it_is_launched_runs_again(scene, before):
    asked = []

    def once(job):
        if not asked:
            asked.append(change.requeue(scene.desk, ADA, job.id))

    Interrupting(scene, once, before=before)
    job = scene.submit(gpus=2)
    scene.cycle()
    scene.cycle()
    assert scene.engine.starts == [(job.id, 1), (job.id, 2)]
    assert scene.state(job) is JobState.RUNNING


def test_a_job_that_is_cancelled_while_its_launch_fails_gives_its_gpus_back(scene):
    Interrupting(scene, scene.cancel)
    job = scene.submit(Play(start_error="no shim"), gpus=4)
    scene.cycle()
    assert (scene.state(job), scene.job(job).cause) == (JobState.CANCELLED, "stopped before it was launched")
    assert scene.desk.book.holders() == {}


def test_a_job_that_reports_before_its_start_is_written_down_still_runs(scene):
    def reports_at_once(job):
        scene.engine.report(job, 1, {"loss": 2.5})
        scene.desk.refresh_reports()

    Interrupting(scene, reports_at_once)
    job = scene.run(Play(run_s=None))
    assert (job.state, job.reported) == (JobState.RUNNING, {"loss": 2.5})
    assert job.pid is not None
    assert job.started_at == scene.clock.now()


def test_a_verb_tries_again_when_the_job_changed_under_it(scene):
    blocker = scene.run(gpus=4)
    job = scene.submit()
    stale = scene.desk
    change.hold(scene.daemon(), ADA, job.id)  # the older desk has not heard of it
    assert change.release(stale, ADA, job.id).held is False
    assert scene.job(job).version == 3
    change.cancel(stale, ADA, blocker.id)
    scene.daemon()


def test_a_job_that_never_stands_still_is_refused_in_the_end(scene):
    job = scene.submit(held=True)
    save = scene.store.save
    scene.store.save = lambda changes: [None] * len(changes)
    with pytest.raises(Refused) as caught:
        change.release(scene.desk, ADA, job.id)
    scene.store.save = save
    assert caught.value.message == f"job {job.id} changes too quickly to release it"
    assert scene.job(job).held is True


def test_an_older_value_that_comes_late_brings_no_ended_job_back(scene):
    job = scene.run(Play(run_s=5.0), gpus=2)
    scene.advance(5.0)
    scene.desk.book.put(job)  # as a thread does that was held up between its save and its put
    assert scene.desk.book.get(job.id) is None
    assert scene.desk.book.holders() == {}


def test_a_job_that_is_cancelled_before_its_submit_is_settled_does_not_wait(scene):
    settle = scene.desk.settle

    def cancelled_meanwhile(jobs):
        scene.desk.settle = settle
        change.cancel(scene.desk, ADA, jobs[0].id)
        settle(jobs)

    scene.desk.settle = cancelled_meanwhile
    [job] = submit(scene.desk, ADA, [scene.wish()], ENV)
    assert scene.state(job) is JobState.CANCELLED
    assert len(scene.desk.book.queue) == 0


def test_a_dependency_that_ends_while_its_dependent_is_submitted_is_known(scene):
    first = scene.run(Play(run_s=5.0), gpus=4)
    settle = scene.desk.settle

    def ended_meanwhile(jobs):
        scene.desk.settle = settle
        scene.advance(5.0)
        settle(jobs)

    scene.desk.settle = ended_meanwhile
    dependent = scene.submit(after=(str(first.id),))
    scene.cycle()
    assert (scene.state(first), scene.state(dependent)) == (JobState.SUCCEEDED, JobState.RUNNING)


def test_reports_that_could_not_be_kept_with_the_job_are_kept_the_next_time(scene):
    job = scene.run(Play(run_s=None))
    scene.engine.report(job, 1, {"loss": 3.0})
    save = scene.store.save

    def unavailable(_changes):
        raise StoreUnavailable("the disk is full", "make room")

    scene.store.save = unavailable
    with pytest.raises(StoreUnavailable):
        scene.desk.refresh_reports()
    scene.store.save = save
    scene.desk.refresh_reports()
    assert scene.job(job).reported == {"loss": 3.0}
    assert len(scene.store.reports(job.id)) == 1


def test_an_operator_and_the_owner_may_both_cancel_and_the_job_ends_once(scene):
    job = scene.run(gpus=1, actor=BOB)
    change.cancel(scene.desk, ROOT, job.id)
    change.cancel(scene.desk, BOB, job.id)
    scene.cycle()
    assert scene.state(job) is JobState.CANCELLED
    rows = scene.store.audit(job_id=job.id)
    assert [(row.action, row.user) for row in rows] == [("submit", "bob"), ("cancel", "root"), ("cancel", "bob")]


def test_a_requeue_that_comes_too_late_does_not_cancel_the_job_that_waits_again(scene):
    job = scene.run(gpus=4)
    stale = scene.desk  # it still believes that the job runs
    newer = scene.daemon()
    change.requeue(newer, ADA, job.id)
    newer.store.mark(GpuMark(0, drained="repair"), 0.0, ROOT)
    newer.board.marks = None
    refresh_slots(newer)
    scene.cycle()
    assert scene.state(job) is JobState.WAITING
    with pytest.raises(Refused, match="waits already"):
        change.requeue(stale, ADA, job.id)
    assert scene.state(job) is JobState.WAITING
