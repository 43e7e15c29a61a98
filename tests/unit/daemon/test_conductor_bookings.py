"""The conductor wakes by itself when a window opens and when it closes."""

import pytest
from scene import ROOT
from test_conductor import Stage

from dcdaemon.control.booking_wish import BookingWish
from dcdaemon.control.bookings import book_gpus
from dcdaemon.core.job import JobState


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.conductor.stop()


def book(stage: Stage, begins_in_s: float, lasts_s: float) -> None:
    now = stage.scene.clock.now()
    wish = BookingWish(count=4, from_at=now + begins_in_s, for_s=lasts_s)
    book_gpus(stage.scene.desk, ROOT, wish)


@pytest.mark.parametrize(
    ("begins_in_s", "lasts_s", "naps_s"), [(10.0, 20.0, [10.0, 20.0]), (3600.0, 86_400.0, [60.0, 60.0])]
)
def test_the_conductor_sleeps_until_the_next_window_opens_or_closes(begins_in_s, lasts_s, naps_s):
    stage = Stage()
    stage.conductor.stop()
    assert stage.conductor._nap_s() is None
    book(stage, begins_in_s, lasts_s)
    naps = [stage.conductor._nap_s()]
    stage.scene.clock.advance(begins_in_s)
    naps.append(stage.conductor._nap_s())
    stage.scene.clock.advance(lasts_s)
    assert (naps, stage.conductor._nap_s()) == (naps_s, None)


def test_a_window_that_closes_wakes_the_conductor_by_itself(stage, until):
    scene = stage.scene
    book_gpus(scene.desk, ROOT, BookingWish(count=4, for_s=0.05))
    job = scene.submit(gpus=4)
    until(lambda: stage.conductor.cycles >= 2)
    assert scene.state(job) is JobState.WAITING
    scene.clock.advance(0.05)
    until(lambda: scene.state(job) is JobState.RUNNING)
