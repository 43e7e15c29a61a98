"""The memory duty: who is warned, who is ended, and who is left to the kernel."""

import pytest
from scene import GIB, Scene

from dcdaemon.control.change import cause_of_stop
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.ports import Held
from dcdaemon.daemon.duties.memory import MemoryDuty
from dcdaemon.fakes.engine import Play

ASKED = 10 * GIB


class Watched:
    """A scene with the duty, and the events that were told."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.duty = MemoryDuty(self.scene.desk)

    def look(self, job: Job, held_bytes: int, *, fenced: bool = False) -> list[Event]:
        self.scene.engine.memory[job.id] = Held(held_bytes, fenced=fenced)
        self.duty.tick()
        events = self.scene.desk.board.events
        events.flush(self.scene.store, lambda _gpu, _at: None)
        return [event for event in self.scene.store.events() if event.job_id == job.id]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_below_nine_tenths_nothing_is_said(watched):
    job = watched.scene.run(mem_bytes=ASKED)
    assert watched.look(job, int(0.89 * ASKED)) == []


def test_a_job_near_its_memory_is_warned_of_once_an_attempt(watched):
    job = watched.scene.run(mem_bytes=ASKED)
    [event] = watched.look(job, int(0.95 * ASKED))
    assert event.kind is EventKind.MEMORY_HIGH
    assert event.evidence == {"held_bytes": int(0.95 * ASKED), "asked_bytes": ASKED, "attempt": 1}
    assert event.message == "job 1 holds 9.5 GiB of memory, nearly all the 10 GiB it asked for"
    assert watched.look(job, int(0.96 * ASKED)) == [event]
    assert watched.scene.state(job) is JobState.RUNNING


def test_a_job_above_its_memory_is_ended_and_its_end_says_so(watched):
    job = watched.scene.run(mem_bytes=ASKED)
    [event] = watched.look(job, ASKED + 1)
    assert event.kind is EventKind.MEMORY_EXCEEDED
    watched.scene.cycle()
    ended = watched.scene.job(job)
    assert (ended.state, ended.cause) == (JobState.OUT_OF_MEMORY, "out of memory")


def test_a_job_that_ends_slowly_is_told_once_and_not_for_ever(watched):
    job = watched.scene.run(Play(run_s=None, deaf=True), mem_bytes=ASKED, grace_s=3600.0)
    first = watched.look(job, 2 * ASKED)
    assert watched.look(job, 2 * ASKED) == first
    assert watched.scene.state(job) is JobState.STOPPING
    watched.scene.advance(10.0)
    assert watched.scene.state(job) is JobState.OUT_OF_MEMORY


def test_a_daemon_that_takes_over_still_knows_why_the_job_was_stopped(watched):
    job = watched.scene.run(Play(run_s=None, deaf=True), mem_bytes=ASKED)
    watched.look(job, 2 * ASKED)
    desk = watched.scene.daemon()
    assert cause_of_stop(desk, watched.scene.job(job)) == "out_of_memory"
    watched.scene.advance(60.0)
    assert watched.scene.state(job) is JobState.OUT_OF_MEMORY


def test_a_job_that_the_kernel_holds_is_left_to_it(watched):
    job = watched.scene.run(mem_bytes=ASKED)
    [event] = watched.look(job, ASKED + 1, fenced=True)
    assert event.kind is EventKind.MEMORY_HIGH
    assert watched.scene.state(job) is JobState.RUNNING


def test_who_asked_for_no_memory_may_have_it(watched):
    job = watched.scene.run(mem_bytes=0)
    assert watched.look(job, 200 * GIB) == []


def test_the_next_attempt_is_warned_of_anew(watched):
    job = watched.scene.run(Play(run_s=5.0), mem_bytes=ASKED)
    watched.look(job, int(0.95 * ASKED))
    watched.scene.advance(5.0)
    watched.duty.tick()
    again = watched.scene.run(mem_bytes=ASKED)
    assert len(watched.look(again, int(0.95 * ASKED))) == 1
