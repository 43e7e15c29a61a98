"""A running job that has to make room: asked to end, queued again, and what it lost written down."""

from dataclasses import replace

import pytest
from scene import BOB, Scene

from dcdaemon.control.book import Book
from dcdaemon.core.job import JobState
from dcdaemon.core.view import NodeView
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.policy import Order
from dcdaemon.scheduler.queues import Queue, Quotas, Sharing

QUEUES = {
    "main": Queue("main"),
    "urgent": Queue("urgent", tier=1, urgent=True),
    "scraps": Queue("scraps", preemptible=True, min_run_s=60.0),
}


@pytest.fixture
def scene():
    scene = Scene(gpus=2)
    share(scene, Sharing(queues=QUEUES))
    return scene


def share(scene: Scene, sharing: Sharing) -> None:
    def prepare(desk):
        desk.book = Book(NodeView("n1", 32, 2**38), sharing)
        desk.policy = replace(desk.policy, order=Order.SHORTEST, queues=sharing.rules)
        scene.sample()

    scene.daemon(prepare)


def test_a_job_of_an_urgent_queue_gets_the_gpus_of_a_preemptible_one_which_runs_again_later(scene):
    scrap = scene.run(Play(run_s=None), gpus=2, queue="scraps")
    scene.advance(100.0)
    urgent = scene.submit(Play(run_s=50.0), BOB, gpus=1, queue="urgent")
    scene.cycle()
    assert scene.state(scrap) is JobState.STOPPING
    scene.advance(1.0)
    scene.cycle()
    waiting = scene.job(scrap)
    assert (waiting.state, waiting.preempted, waiting.lost_s) == (JobState.WAITING, 1, pytest.approx(101.0, abs=2.0))
    assert scene.state(urgent) is JobState.RUNNING
    assert [row.action for row in scene.store.audit(job_id=scrap.id)].count("preempt") == 1
    scene.advance(60.0)
    again = scene.job(scrap)
    assert (again.state, again.attempt) == (JobState.RUNNING, 2)


def test_only_work_since_the_last_checkpoint_is_lost(scene):
    scrap = scene.run(Play(run_s=None), gpus=2, queue="scraps")
    scene.advance(100.0)
    told = {"checkpoint_at": scene.clock.now() - 30.0}
    scene.desk.reports.collect = lambda _job: told
    scene.desk.refresh_reports()
    scene.submit(Play(run_s=50.0), BOB, gpus=1, queue="urgent")
    scene.cycle()
    scene.advance(1.0)
    assert scene.job(scrap).lost_s == pytest.approx(31.0, abs=2.0)


def test_nobody_is_stopped_before_the_least_run_time_or_for_an_ordinary_job(scene):
    scrap = scene.run(Play(run_s=None), gpus=2, queue="scraps")
    scene.advance(30.0)
    scene.submit(gpus=1, queue="urgent")
    scene.submit(gpus=1)
    scene.cycle()
    assert scene.state(scrap) is JobState.RUNNING
    scene.advance(31.0)
    assert scene.state(scrap) is not JobState.RUNNING


def test_a_cancel_has_the_last_word_over_a_preemption(scene):
    scrap = scene.run(Play(run_s=None, deaf=True), gpus=2, queue="scraps")
    scene.advance(100.0)
    scene.submit(Play(run_s=50.0), BOB, gpus=1, queue="urgent")
    scene.cycle()
    scene.cancel(scrap)
    scene.advance(60.0)
    assert (scene.state(scrap), scene.job(scrap).preempted) == (JobState.CANCELLED, 0)


def test_a_restart_in_the_middle_still_knows_that_the_job_was_preempted(scene):
    scrap = scene.run(Play(run_s=None, deaf=True), gpus=2, queue="scraps")
    scene.advance(100.0)
    scene.submit(Play(run_s=50.0), BOB, gpus=1, queue="urgent")
    scene.cycle()
    share(scene, Sharing(queues=QUEUES))
    scene.advance(60.0)
    scene.cycle()
    assert scene.job(scrap).preempted == 1


def test_what_is_lent_beyond_a_quota_is_recalled_for_those_within_theirs(scene):
    share(scene, Sharing(quotas=Quotas(per_user=1)))
    loans = [scene.run(Play(run_s=None), gpus=1) for _ in range(2)]
    scene.advance(700.0)
    mine = scene.submit(Play(run_s=10.0), BOB, gpus=1)
    scene.cycle()
    scene.advance(1.0)
    scene.cycle()
    assert [scene.state(job) for job in loans] == [JobState.RUNNING, JobState.WAITING]
    assert scene.state(mine) is JobState.RUNNING


def test_an_urgent_job_stops_nothing_on_lent_gpus_that_it_may_not_recall(scene):
    queues = {"main": Queue("main"), "urgent": Queue("urgent", tier=1, urgent=True)}
    share(scene, Sharing(queues=queues, quotas=Quotas(per_user=1)))
    loans = [scene.run(Play(run_s=None), gpus=1) for _ in range(2)]
    scene.advance(60.0)
    scene.submit(Play(run_s=10.0), BOB, gpus=1, queue="urgent")
    scene.cycle()
    assert [scene.state(job) for job in loans] == [JobState.RUNNING] * 2
    scene.advance(600.0)
    scene.cycle()
    assert scene.state(loans[1]) is not JobState.RUNNING, "within its quota, and late enough"


def test_an_urgent_job_beyond_its_quota_recalls_nothing(scene):
    queues = {"main": Queue("main"), "urgent": Queue("urgent", tier=1, urgent=True)}
    share(scene, Sharing(queues=queues, quotas=Quotas(per_user=1, users={BOB.user: 0})))
    loans = [scene.run(Play(run_s=None), gpus=1) for _ in range(2)]
    scene.advance(700.0)
    scene.submit(Play(run_s=10.0), BOB, gpus=1, queue="urgent")
    scene.cycle()
    assert [scene.state(job) for job in loans] == [JobState.RUNNING] * 2
