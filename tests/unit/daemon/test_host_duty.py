"""The host duty: what it shows, what it stores, and a wall clock that is set."""

import pytest
from scene import Scene

from dcdaemon.core.event import EventKind
from dcdaemon.core.samples import DriveSample, HostReading, HostSample, NetSample
from dcdaemon.daemon.clock_steps import ClockSteps
from dcdaemon.daemon.duties.host import HostDuty
from dcdaemon.fakes.clock import FakeClock


class Host:
    """A host with one network interface, and whatever else a test adds to the next reading."""

    def __init__(self, clock):
        self.clock, self.others = clock, ()

    def read(self):
        at = self.clock.now()
        others, self.others = self.others, ()
        return HostReading(HostSample(at, load_1m=1.0), nets=(NetSample(at, "eth0", received_bytes=5),), others=others)


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def host(scene):
    return Host(scene.clock)


@pytest.fixture
def duty(scene, host):
    return HostDuty(scene.desk, host, 5.0)


def ages(scene):
    fresh = scene.desk.board.newest.fresh(scene.clock.monotonic())
    return {sample.KIND: age_s for sample, age_s in fresh}


def test_a_reading_is_shown_and_recorded(scene, duty):
    duty.tick()
    assert scene.desk.board.host.host.load_1m == 1.0
    assert ages(scene) == {"host": 0.0, "net": 0.0}


def test_what_was_read_earlier_is_shown_with_its_age(scene, host, duty):
    host.others = (DriveSample(scene.clock.now() - 300.0, "nvme0", wear_ratio=0.1),)
    duty.tick()
    assert ages(scene) == {"host": 0.0, "net": 0.0, "drive": 300.0}


def test_a_sample_from_the_future_is_new_and_no_younger(scene, host, duty):
    host.others = (DriveSample(scene.clock.now() + 300.0, "nvme0"),)
    duty.tick()
    assert ages(scene)["drive"] == 0.0


@pytest.mark.parametrize(
    ("step_s", "words"),
    [(3600.0, "the wall clock went forward by 1h"), (-90.0, "the wall clock went back by 1m30s")],
)
def test_a_wall_clock_that_is_set_is_told_once_and_the_node_goes_on(scene, duty, step_s, words):
    duty.tick()
    scene.clock.advance(5.0)
    scene.clock.step_wall(step_s)
    for _ in range(3):
        duty.tick()
        scene.clock.advance(5.0)
    scene.desk.board.events.flush(scene.store, lambda *_: None)
    scene.desk.board.events.flush(scene.store, lambda _gpu, _at: None)
    [event] = scene.store.events()
    assert (event.kind, event.subject, event.count) == (EventKind.CLOCK_STEPPED, "clock", 1)
    assert event.message.startswith(words)
    assert event.evidence == {"step_s": step_s}
    assert ages(scene) == {"host": 5.0, "net": 5.0}


def test_a_wall_clock_that_is_set_has_the_calendar_and_the_queue_looked_at_anew(scene, host):
    heard = []
    duty = HostDuty(scene.desk, host, 5.0, heard.append)
    duty.tick()
    wakes = scene.wakes
    scene.clock.step_wall(-3600.0)
    duty.tick()
    assert (heard, scene.wakes) == ([-3600.0], wakes + 1)


def test_steps_of_a_second_and_time_that_is_only_slewed_are_no_steps():
    clock = FakeClock()
    steps = ClockSteps(clock)
    assert steps.look() is None
    for step_s in (0.9, -0.9, 0.0025):
        clock.advance(5.0)
        clock.step_wall(step_s)
        assert steps.look() is None
    clock.step_wall(1.1)
    assert steps.look() is not None


def test_a_process_that_had_to_wait_between_its_questions_has_seen_no_step():
    class Slow(FakeClock):
        wait_s = 0.0

        def now(self):
            now = super().now()
            self.advance(self.wait_s)
            return now

    clock = Slow()
    steps = ClockSteps(clock)
    steps.look()
    clock.wait_s = 4.0
    assert steps.look() is None
    clock.wait_s = 0.0
    assert steps.look() is None
