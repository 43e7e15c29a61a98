"""A waiting job is changed before it starts: order, limit, queue, times; refused where a submit would be."""

import pytest
from scene import ADA, BOB, ROOT, Scene, broken_promises

from dcdaemon.control import remember
from dcdaemon.control.update import Update, update_all
from dcdaemon.core.errors import BadInput, Forbidden, NeverFits, NotFound, Refused
from dcdaemon.core.job import JobState
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.policy import Policy, QueueRule
from dcdaemon.scheduler.queues import Queue, Sharing


@pytest.fixture
def scene() -> Scene:
    """A node whose GPUs are all taken for 100 s."""
    scene = Scene(gpus=2)
    scene.run(gpus=2, play=Play(run_s=100.0))
    return scene


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def with_queues(scene: Scene, **queues: Queue) -> None:
    """Open further queues beside the usual one."""
    scene.desk.book.go_by(Sharing({**scene.desk.book.sharing.queues, **queues}))


def update(scene: Scene, *jobs, actor=ADA, **wanted):
    return update_all(scene.desk, actor, [job.id for job in jobs], Update(**wanted))


def changed(scene: Scene, job, actor=ADA, **wanted):
    return update(scene, job, actor=actor, **wanted).only()


def started_first(scene: Scene) -> int:
    """Return who starts when the GPUs are free."""
    before = set(scene.engine.starts)
    scene.advance(100.0)
    return next(job_id for job_id, _ in scene.engine.starts if (job_id, 1) not in before)


def test_a_job_goes_behind_others_by_a_lower_priority_and_keeps_it_over_a_restart(scene):
    first, second = (scene.submit(gpus=2, play=Play(run_s=1000.0)) for _ in range(2))
    assert changed(scene, first, priority=40).priority == 40
    scene.daemon()
    assert scene.desk.book.queue.get(first.id).priority == 40
    assert started_first(scene) == second.id


def test_an_operator_puts_a_job_before_all_that_wait(scene):
    others = [scene.submit(gpus=2, actor=BOB) for _ in range(3)]
    changed(scene, others[0], ROOT, priority=70)
    job = scene.submit(gpus=2, play=Play(run_s=1000.0))
    assert changed(scene, job, ROOT, first=True).priority == 71
    assert changed(scene, job, ROOT, first=True).priority == 71, "it is first already"
    assert started_first(scene) == job.id


def test_nobody_goes_before_the_highest_priority_there_is(scene):
    top, job = scene.submit(gpus=2), scene.submit(gpus=2)
    changed(scene, top, ROOT, priority=100)
    with pytest.raises(Refused, match=f"job {top.id} waits with the highest priority there is") as refused:
        changed(scene, job, ROOT, first=True)
    assert refused.value.hint == f"dcd update {top.id} -p 99 lowers it"


def test_only_operators_go_above_the_usual_priority_and_a_job_that_has_it_keeps_it(scene):
    job, _ = scene.submit(gpus=2), scene.submit(gpus=2)
    for wanted in ({"priority": 51}, {"first": True}):
        with pytest.raises(Refused, match="priority 51 is above 50, which only an operator may give"):
            changed(scene, job, **wanted)
    changed(scene, job, ROOT, priority=80)
    assert changed(scene, job, limit_s=60.0).priority == 80
    assert changed(scene, job, priority=20).priority == 20


def test_a_new_limit_is_what_the_job_is_run_and_expected_with(scene):
    job = scene.submit(gpus=2, limit_s=7200.0)
    again = changed(scene, job, limit_s=60.0)
    assert (again.spec.limit_s, again.predicted_s, again.predicted_by) == (60.0, 60.0, "limit")
    assert scene.desk.book.queue.get(job.id).limit_s == 60.0 + job.spec.grace_s
    assert (again.queued_at, again.spec.name) == (job.queued_at, job.spec.name), "its age is its own"


def test_a_job_moves_to_a_queue_on_the_terms_of_that_queue(scene):
    with_queues(scene, night=Queue("night", max_limit_s=3600.0, preemptible=True), few=Queue("few", max_gpus_per_job=1))
    job = scene.submit(gpus=2, limit_s=600.0)
    moved = changed(scene, job, queue="night")
    assert (moved.spec.queue, moved.spec.preemptible, moved.spec.limit_s) == ("night", True, 600.0)
    with pytest.raises(Refused, match="queue night runs no job longer than 1h, this one asks for 2h"):
        changed(scene, job, limit_s=7200.0)
    with pytest.raises(Refused, match="queue few gives a job 1 GPU at most"):
        changed(scene, job, queue="few")
    with pytest.raises(NotFound, match="there is no queue 'nihgt'"):
        changed(scene, job, queue="nihgt")
    assert scene.job(job) == moved, "what was refused changed nothing"


def test_a_queue_whose_gpus_are_too_few_is_refused(scene):
    with_queues(scene, half=Queue("half", gpus=frozenset({0})))
    scene.desk.policy = Policy(queues={"half": QueueRule(gpus=frozenset({0}))})
    with pytest.raises(NeverFits):
        changed(scene, scene.submit(gpus=2), queue="half")


def test_the_queues_of_its_owner_are_open_to_a_job_whoever_moves_it(scene):
    with_queues(scene, vision=Queue("vision", users=frozenset({"ada"})))
    mine, bobs = scene.submit(gpus=1), scene.submit(gpus=1, actor=BOB)
    assert changed(scene, mine, queue="vision").spec.queue == "vision"
    with pytest.raises(Forbidden, match="queue vision is for ada; bob may not submit to it"):
        changed(scene, bobs, BOB, queue="vision")
    assert changed(scene, bobs, ROOT, queue="vision").spec.user == "bob"


def test_times_are_changed_and_a_begin_time_of_the_past_is_none(scene):
    job, now = scene.submit(gpus=2), scene.clock.now()
    later = changed(scene, job, begin_at=now + 600, deadline_at=now + 7200)
    assert (later.spec.begin_at, later.spec.deadline_at) == (now + 600, now + 7200)
    scene.advance(100.0)
    assert scene.state(job) is JobState.WAITING
    assert changed(scene, job, begin_at=scene.clock.now()).spec.begin_at is None
    scene.cycle()
    assert scene.state(job) is JobState.RUNNING


def test_a_limit_that_the_deadline_does_not_leave_is_refused(scene):
    job = scene.submit(gpus=2, limit_s=60.0, deadline_at=scene.clock.now() + 3600)
    with pytest.raises(BadInput, match="may run for 2h, and is due 1h from now"):
        changed(scene, job, limit_s=7200.0)
    scene.clock.advance(4000.0)
    assert changed(scene, job, limit_s=7200.0).spec.limit_s == 7200.0, "it is late in any case"


def test_a_job_that_runs_or_has_ended_is_left_as_it_is(scene):
    [running] = scene.desk.book.active()
    ended = scene.cancel(scene.submit())
    both = update(scene, running, ended, limit_s=5.0)
    assert both.jobs == []
    assert [error.message for _, error in both.refused] == [
        f"job {running.id} is running; only a waiting job can be changed",
        f"job {ended.id} has ended (cancelled); only a waiting job can be changed",
    ]


def test_others_jobs_are_not_ones_own_to_change(scene):
    with pytest.raises(Forbidden):
        changed(scene, scene.submit(gpus=2), BOB, priority=1)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({}, "there is nothing to change"), ({"first": True, "priority": 3}, "--first is a priority of its own"),
        ({"priority": 101}, "priority 101 is not between 0 and 100"), ({"limit_s": 0.0}, "must be more than 0"),
        ({"name": "a\nb"}, "not printable"), ({"queue": "a b"}, "cannot be the name of a queue"),
        ({"begin_at": -1.0}, "begin time is no time"), ({"deadline_at": 5.0}, "the deadline is past"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(scene, wanted, words):
    job = scene.submit(gpus=2)
    with pytest.raises(BadInput, match=words):
        changed(scene, job, ROOT, **wanted)
    assert scene.job(job) == job


def test_the_audit_tells_what_was_changed_from_what_to_what(scene):
    job = scene.submit(gpus=2, limit_s=600.0)
    changed(scene, job, limit_s=60.0, name="short", priority=40)
    [row] = [row for row in scene.store.audit(job_id=job.id) if row.action == "update"]
    assert row.before == {"priority": 50, "name": job.spec.name, "limit_s": 600.0}
    assert row.after == {"priority": 40, "name": "short", "limit_s": 60.0}


def test_a_forecast_made_for_the_job_as_it_was_counts_no_more(scene):
    scene.advance(100.0)
    scene.daemon(lambda desk: desk.listeners.append(desk.forecasts.noted))
    remember.begin(scene.desk)
    scene.run(gpus=2, limit_s=100.0)
    job = scene.submit(gpus=2, limit_s=60.0)
    assert job.forecast_at is not None
    again = changed(scene, job, priority=10)
    assert (again.forecast_at, again.forecast_low_at, again.forecast_high_at) == (None, None, None)
