"""The scheduler's memory: fed by what the book sees, and filled again after a restart."""

import pytest
from scene import ADA, Scene

from dcdaemon.control import change, remember
from dcdaemon.control.start import run_cycle
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.policy import Order, Policy

DAY_S = 86400.0


@pytest.fixture
def scene():
    scene = Scene(gpus=2)
    shortest(scene.desk)
    return scene


def shortest(desk):
    desk.policy = Policy(order=Order.SHORTEST)
    desk.memory = Memory([2], desk.policy)


def longest_wait_s(desk) -> float | None:
    with desk.book.lock:
        return remember.standing(desk, desk.clock.now()).fifo_wait_s


def test_the_longest_wait_of_fifo_grows_with_those_who_wait(scene):
    scene.submit(Play(run_s=None), gpus=2)
    scene.cycle()
    assert longest_wait_s(scene.desk) == 0.0
    scene.submit(gpus=1)
    scene.cycle()
    foreseen_s = longest_wait_s(scene.desk)
    assert 0.0 < foreseen_s < DAY_S
    scene.clock.advance(DAY_S)
    assert longest_wait_s(scene.desk) == DAY_S


def test_a_job_that_was_cancelled_while_it_waited_waits_no_longer(scene):
    scene.submit(Play(run_s=None), gpus=2)
    scene.cycle()
    waiting = scene.submit(gpus=1)
    scene.cycle()
    change.cancel(scene.desk, ADA, waiting.id)
    before = longest_wait_s(scene.desk)
    scene.clock.advance(DAY_S)
    assert longest_wait_s(scene.desk) == before


def test_for_a_job_that_has_waited_too_long_gpus_are_kept_from_plan_to_plan(scene):
    scene.submit(Play(run_s=2 * DAY_S), gpus=1)
    wide = scene.submit(Play(run_s=60.0), gpus=2)
    scene.cycle()
    scene.clock.advance(DAY_S)
    made = run_cycle(scene.desk)
    assert [(kept.job_id, kept.gpus) for kept in made.sticky] == [(wide.id, (0, 1))]
    assert scene.desk.memory.standing(scene.clock.now()).kept == made.sticky
    assert [kept.job_id for kept in run_cycle(scene.desk).sticky] == [wide.id]


def test_a_restart_remembers_since_when_those_wait_who_wait_still(scene):
    scene.submit(Play(run_s=None), gpus=2)
    scene.cycle()
    scene.submit(gpus=1)
    scene.submit(gpus=1, held=True)
    scene.cycle()
    scene.clock.advance(DAY_S)
    assert longest_wait_s(scene.desk) == DAY_S
    desk = scene.daemon()
    desk.policy = Policy(order=Order.SHORTEST)
    remember.begin(desk)
    assert longest_wait_s(desk) == DAY_S


def test_a_restart_remembers_who_waited_how_long(scene):
    scene.submit(Play(run_s=1000.0), gpus=2)
    scene.submit(Play(run_s=10.0), gpus=2)
    scene.cycle()
    scene.advance(1000.0)
    scene.advance(20.0)
    scene.cycle()
    before = longest_wait_s(scene.desk)
    assert before >= 1000.0
    desk = scene.daemon()
    desk.policy = Policy(order=Order.SHORTEST)
    remember.begin(desk)
    assert 900.0 <= longest_wait_s(desk) <= before
