"""The scheduler's memory: fed by what the book sees, and filled again after a restart."""

import pytest
from scene import ADA, Scene

from dcdaemon.control import change, remember
from dcdaemon.control.start import run_cycle
from dcdaemon.core.job import JobState
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


def test_the_longest_wait_of_fifo_grows_with_those_who_wait_and_stays_when_they_leave(scene):
    scene.submit(Play(run_s=None), gpus=2)
    scene.cycle()
    waiting = scene.submit(gpus=1)
    scene.cycle()
    scene.clock.advance(500.0)
    assert longest_wait_s(scene.desk) == 500.0
    change.cancel(scene.desk, ADA, waiting.id)
    assert longest_wait_s(scene.desk) == 0.0


def test_a_job_that_has_waited_too_long_is_promised_the_next_gpus_and_shorter_ones_do_not_pass_it(scene):
    scene.submit(Play(run_s=2 * DAY_S), gpus=1)
    wide = scene.submit(Play(run_s=60.0), gpus=2)
    scene.cycle()
    scene.clock.advance(DAY_S)
    small = scene.submit(Play(run_s=60.0), gpus=1)
    made = run_cycle(scene.desk)
    assert [kept.job_id for kept in made.promises] == [wide.id]
    assert scene.state(small) is JobState.WAITING
    assert [kept.job_id for kept in run_cycle(scene.desk).promises] == [wide.id]


def test_a_restart_remembers_who_waited_how_long(scene):
    scene.submit(Play(run_s=1000.0), gpus=2)
    scene.submit(Play(run_s=10.0), gpus=2)
    scene.cycle()
    scene.advance(1000.0)
    scene.advance(20.0)
    scene.cycle()
    before = longest_wait_s(scene.desk)
    assert before == pytest.approx(1000.0, abs=30.0)
    desk = scene.daemon()
    desk.policy = Policy(order=Order.SHORTEST)
    remember.begin(desk)
    assert longest_wait_s(desk) == pytest.approx(before, abs=30.0)
