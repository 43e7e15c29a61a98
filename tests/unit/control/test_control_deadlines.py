"""`--deadline`: what is refused, who goes first on a node that goes by deadlines, and whether one was met."""

from dataclasses import replace

import pytest
from scene import ADA, ENV, Scene

from dcdaemon.api.documents import deadline_met
from dcdaemon.control.submit import submit
from dcdaemon.control.why import why
from dcdaemon.core.errors import BadInput
from dcdaemon.core.job import JobState
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queues import Queue, Sharing

HOUR = 3600.0


def within(scene: Scene, seconds: float) -> float:
    return scene.clock.now() + seconds


@pytest.mark.parametrize(
    ("due_s", "fields", "message", "hint"),
    [
        (-60.0, {}, "the deadline is past by 1m", "write one to come, like --deadline +6h"),
        (0.0, {}, "the deadline is past by 0s", "write one to come, like --deadline +6h"),
        (HOUR, {"begin_s": HOUR}, "the job is due before it may begin", "let it begin earlier, or be due later"),
        (
            HOUR, {"limit_s": 2 * HOUR}, "by its time limit the job may run for 2h, and is due 1h from now",
            "use a limit of 1h or shorter, or a later --deadline",
        ),
        (
            2 * HOUR, {"limit_s": 1.5 * HOUR, "begin_s": HOUR},
            "by its time limit the job may run for 1h30m, and is due 1h after its begin time",
            "use a limit of 1h or shorter, or a later --deadline",
        ),
    ],
)  # fmt: skip
def test_a_deadline_that_cannot_be_met_is_refused_and_nothing_is_queued(scene, due_s, fields, message, hint):
    begin_s = fields.get("begin_s")
    wish = scene.wish(
        deadline_at=within(scene, due_s), limit_s=fields.get("limit_s"),
        begin_at=None if begin_s is None else within(scene, begin_s),
    )  # fmt: skip
    with pytest.raises(BadInput) as caught:
        submit(scene.desk, ADA, [scene.wish(), wish], ENV)
    assert (caught.value.message, caught.value.hint) == (f"job 2 of 2: {message}", hint)
    assert scene.jobs() == []


def test_a_deadline_that_is_no_time_is_refused(scene):
    for at in (float("nan"), float("inf"), -1.0):
        with pytest.raises(BadInput, match="the deadline is no time"):
            scene.submit(deadline_at=at)


def test_a_limit_that_the_node_gives_refuses_no_deadline(scene):
    scene.desk.rules = replace(scene.desk.rules, default_limit_s=10 * HOUR)
    job = scene.submit(deadline_at=within(scene, HOUR))
    assert (job.spec.limit_s, job.spec.deadline_at) == (10 * HOUR, within(scene, HOUR))


def test_the_first_to_be_due_starts_first_also_after_a_restart(scene):
    def by_deadline(desk):
        desk.book.go_by(Sharing({"main": Queue("main", order=Order.DEADLINE)}, "main"))
        desk.policy = Policy(order=Order.DEADLINE)

    by_deadline(scene.desk)
    blocker = scene.run(Play(run_s=100.0), gpus=4)
    never, later, sooner = (scene.submit(gpus=4, limit_s=HOUR, deadline_at=at) for at in (
        None, within(scene, 9 * HOUR), within(scene, 5 * HOUR),
    ))  # fmt: skip
    scene.daemon(by_deadline)
    assert scene.desk.book.queue.by_deadline
    assert f"Job {sooner.id}, which is due in 5h, goes first." in why(scene.desk, scene.job(later)).sentence
    scene.advance(100.0)
    states = [scene.state(job) for job in (blocker, never, later, sooner)]
    assert states == [JobState.SUCCEEDED, JobState.WAITING, JobState.WAITING, JobState.RUNNING]


def test_a_deadline_is_met_by_a_success_in_time_and_missed_once_it_has_passed(scene):
    good, bad, none = (
        scene.run(play, deadline_at=at) for play, at in (
            (Play(run_s=50.0), within(scene, 100.0)), (Play(run_s=50.0, exit_code=1), within(scene, 100.0)),
            (Play(run_s=50.0), None),
        )
    )  # fmt: skip
    late = scene.run(Play(run_s=150.0), deadline_at=within(scene, 100.0))

    def met():
        return [deadline_met(scene.job(job), scene.clock.now()) for job in (good, bad, none, late)]

    assert met() == [None, None, None, None]
    scene.advance(60.0)
    assert met() == [True, None, None, None], "what failed may be requeued"
    scene.advance(50.0)
    assert met() == [True, False, None, False]
    scene.advance(50.0)
    assert met() == [True, False, None, False]
