"""Measuring goes on while the database is away, and all of it is written when it is back."""

import pytest
from scene import Scene

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.job import JobState
from dcdaemon.daemon.duties.gpus import GpuDuty
from dcdaemon.daemon.duties.storing import StoringDuty
from dcdaemon.fakes.engine import Play
from dcdaemon.fakes.gpus import SimulatedGpus
from dcdaemon.fakes.store import MemoryStore


class Stalling(MemoryStore):
    """A store that takes no writes while it is `away`."""

    away = False

    def _come(self):
        if self.away:
            raise StoreUnavailable("the database is away")

    def book(self, metered, usage):
        self._come()
        super().book(metered, usage)

    def save_gpus(self, gpus, at):
        self._come()
        super().save_gpus(gpus, at)

    def save_events(self, events):
        self._come()
        return super().save_events(events)

    def flush_samples(self):
        self._come()
        super().flush_samples()


class Node:
    """The two duties of a scene with simulated GPUs, moved on second by second."""

    def __init__(self):
        self.scene = Scene()
        self.store = self.scene.store = self.scene.desk.store = Stalling("n1")
        self.scene.desk.gpus = ()
        source = SimulatedGpus(2, dict, self.scene.clock, 1.0)
        source.start()
        self.gpus = GpuDuty(self.scene.desk, source, 1.0, 5.0, 600.0)
        self.storing = StoringDuty(self.scene.desk, self.gpus.book_due, 5.0)
        self.troubles = 0

    def live(self, seconds):
        for _ in range(seconds):
            self.scene.clock.advance(1.0)
            self.gpus.tick()
            try:
                self.storing.tick()
            except StoreUnavailable:
                self.troubles += 1

    def booked_mj(self):
        return sum(row.energy_mj for row in self.store.energy("gpu", None))


@pytest.fixture
def node():
    return Node()


def test_a_stall_takes_nothing_from_readings_samples_events_and_energy(node):
    calm = Node()
    for one in (node, calm):
        one.live(10)
    node.store.away = True
    node.scene.desk.board.events.tell(Event(1.0, EventKind.LINK_DOWN, "eth0", "down"))
    before_at = node.scene.desk.board.gpus.samples[0].at
    for one in (node, calm):
        one.live(60)
    assert node.troubles > 0
    assert node.scene.desk.board.gpus.samples[0].at == before_at + 60, "reading went on"
    node.store.away = False
    for one in (node, calm):
        one.live(10)
    now = node.scene.clock.now()
    assert node.store.gpu_samples(0, 0, now) == calm.store.gpu_samples(0, 0, now)
    assert node.booked_mj() == calm.booked_mj() > 0
    assert [event.subject for event in node.store.events()] == ["eth0"]


def test_gpus_that_appear_while_the_database_is_away_are_shown_at_once_and_stored_later(node):
    node.store.away = True
    node.live(6)
    assert [gpu.index for gpu in node.scene.desk.board.gpus.gpus] == [0, 1]
    assert node.store._gpus == {}
    node.store.away = False
    node.live(6)
    assert list(node.store._gpus) == [0, 1]


def test_everything_is_tried_even_if_the_first_fails(node):
    def fails():
        raise StoreUnavailable("the ledger is locked")

    node.scene.desk.board.events.tell(Event(1.0, EventKind.LINK_DOWN, "eth0", "down"))
    storing = StoringDuty(node.scene.desk, fails, 5.0)
    with pytest.raises(StoreUnavailable, match="ledger is locked"):
        storing.tick()
    assert len(node.store.events()) == 1


def test_a_mistake_of_ours_is_not_taken_for_a_stall(node):
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        StoringDuty(node.scene.desk, fails, 5.0).tick()


def test_the_use_of_a_job_is_booked_with_the_reading_after_its_end(node):
    node.live(6)
    job = node.scene.run(Play(1.0))
    node.gpus.noted(job)
    booked_until = node.scene.desk.board.booked_until
    node.live(1)
    assert node.scene.desk.board.booked_until == booked_until, "what runs waits for the next booking"
    node.gpus.noted(job.mark_ended(JobState.SUCCEEDED, node.scene.clock.now(), exit_code=0))
    node.live(1)
    assert node.scene.desk.board.booked_until == node.scene.clock.now()


def test_trouble_is_told_until_the_work_is_done_and_not_only_when_it_is_tried(node):
    node.live(10)
    node.store.away = True
    node.live(6)  # by now everything was tried once
    before = node.troubles
    node.live(10)
    assert node.troubles - before == 10
    node.store.away = False
    node.live(6)
    before = node.troubles
    node.live(10)
    assert node.troubles == before
