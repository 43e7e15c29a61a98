import pytest

from dcdaemon.core.event import Event, EventKind
from dcdaemon.telemetry.gpu_watch import Answer, GpuWatch

INTERVAL_S, FRESH_S = 1.0, 3.0
OK, OLD, VERY_OLD, LOST = Answer(0.5), Answer(3.5), Answer(4.5), Answer(0.5, "lost")


class Told(list[Event]):
    @property
    def kinds(self) -> list[tuple[EventKind, int | None]]:
        return [(event.kind, event.gpu) for event in self]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def look(told):
    watch = GpuWatch(INTERVAL_S, FRESH_S, told.append)
    return lambda *answers, trouble=None: watch.look(9.0, dict(enumerate(answers)), trouble)


def test_what_is_well_from_the_start_is_no_news(look, told):
    look(OK, OK)
    look(OK, OK)
    assert told == []


def test_a_gpu_that_is_lost_from_the_start_is_news(look, told):
    look(OK, LOST)
    assert told.kinds == [(EventKind.GPU_LOST, 1)]


def test_an_old_gpu_is_told_an_interval_after_its_values_went_and_once(look, told):
    look(OK, OK)
    look(OK, OLD)
    assert told == []
    look(OK, VERY_OLD)
    look(OK, Answer(99.0))
    assert told.kinds == [(EventKind.GPU_STALE, 1)]
    look(OK, OK)
    assert told.kinds[1:] == [(EventKind.GPU_FOUND, 1)]
    assert told[0].message == "gpu 1 has not answered for 4.5 s, while others do: its values are withdrawn"
    assert (told[0].evidence, told[0].subject) == ({"age_s": 4.5, "error": None}, "gpu 1")


def test_a_lost_gpu_that_falls_silent_as_well_and_comes_back(look, told):
    look(OK, OK)
    look(OK, LOST)
    look(OK, LOST)
    look(OK, Answer(5.0, "lost"))
    look(OK, OK)
    assert told.kinds == [(EventKind.GPU_LOST, 1), (EventKind.GPU_STALE, 1), (EventKind.GPU_FOUND, 1)]


def test_a_passing_error_is_neither_lost_nor_well(look, told):
    look(OK, OK)
    look(OK, Answer(0.5, "Unknown Error"))
    look(OK, OK)
    assert told == []


def test_a_silent_driver_is_one_event_and_not_one_for_each_gpu(look, told):
    look(OK, OK)
    look(OLD, Answer(3.2), trouble="it crashed")
    look(VERY_OLD, VERY_OLD)
    assert told.kinds == [(EventKind.DRIVER_SILENT, None)]
    assert told[0].message == "no GPU has answered for 3.2 s (it crashed): the values of all 2 are withdrawn"
    look(OK, OK)
    assert told.kinds[1:] == [(EventKind.DRIVER_RETURNED, None)]


def test_a_gpu_that_is_waited_for_anew_has_not_answered_by_that(look, told):
    look(OK, OK)
    look(OK, VERY_OLD)
    look(OK, Answer(0.5, said=False))
    assert told.kinds == [(EventKind.GPU_STALE, 1)]
    look(VERY_OLD, VERY_OLD)
    look(Answer(0.5, said=False), Answer(0.5, said=False))
    assert told.kinds[1:] == [(EventKind.DRIVER_SILENT, None)]
    look(OK, OK)
    assert told.kinds[2:] == [(EventKind.DRIVER_RETURNED, None), (EventKind.GPU_FOUND, 1)]


def test_a_gpu_that_stays_silent_when_the_driver_is_back_is_told_then(look, told):
    look(OK, OK)
    look(VERY_OLD, VERY_OLD)
    look(OK, VERY_OLD)
    assert told.kinds[1:] == [(EventKind.DRIVER_RETURNED, None), (EventKind.GPU_STALE, 1)]


def test_a_driver_that_only_tells_of_lost_gpus_is_not_silent(look, told):
    look(LOST)
    assert told.kinds == [(EventKind.GPU_LOST, 0)]


def test_gpus_that_go_and_come_with_another_driver(look, told):
    look(OK, OK, OK)
    look(OK, OK)
    assert told.kinds == [(EventKind.GPU_LOST, 2)]
    assert told[0].message == "gpu 2 is gone: the driver has 2 GPUs now"
    look(OK, OK, OK)
    assert told.kinds[1:] == [(EventKind.GPU_FOUND, 2)]
    assert told[1].message == "gpu 2 is new"


def test_nothing_is_told_before_the_driver_said_what_there_is(look, told):
    look()
    assert told == []
