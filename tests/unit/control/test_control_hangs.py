"""A job that says nothing while a rank of it does nothing hangs; one that works in silence does not."""

from dataclasses import replace

import pytest
from scene import Scene

from dcdaemon.control.hangs import HangWatch
from dcdaemon.core.job import JobState
from dcdaemon.core.vitals import RankVitals, Vitals

AFTER_S = 1800.0


@pytest.fixture
def scene():
    return Scene(gpus=4)


@pytest.fixture
def watch(scene):
    return HangWatch(scene.desk, AFTER_S)


@pytest.fixture
def job(scene):
    return scene.run(launcher="torchrun", gpus=2)


def ranks(*cpu_s, state="S"):
    return tuple(RankVitals(rank, 100 + rank, state, "futex_wait_queue", used) for rank, used in enumerate(cpu_s))


def tell(scene, job, written, seen):
    scene.engine.vitals_of[job.id, job.attempt] = Vitals(written, seen)


def pass_time(scene, watch, seconds=AFTER_S):
    scene.clock.advance(seconds)
    return watch.look()


def test_a_rank_that_did_nothing_in_a_long_silence_is_a_hang(scene, watch, job):
    tell(scene, job, 10, ranks(50.0, 40.0))
    assert watch.look() == ()
    # The other rank spins while it waits for the first: that is no sign of life.
    tell(scene, job, 10, ranks(50.5, 1800.0))
    [hang] = pass_time(scene, watch)
    assert hang.silent_s == AFTER_S
    assert [(one.rank, used_s) for one, used_s in hang.ranks] == [(0, 0.5), (1, 1760.0)]
    assert scene.state(job) is JobState.RUNNING


def test_a_silence_that_is_too_short_is_none(scene, watch, job):
    tell(scene, job, 10, ranks(50.0, 40.0))
    watch.look()
    assert pass_time(scene, watch, AFTER_S - 1) == ()


def test_output_and_reports_are_signs_of_life(scene, watch, job):
    tell(scene, job, 10, ranks(50.0, 40.0))
    watch.look()
    tell(scene, job, 11, ranks(50.0, 40.0))
    assert pass_time(scene, watch) == ()
    [_] = pass_time(scene, watch)


def test_ranks_that_all_work_in_silence_do_not_hang_until_one_stops(scene, watch, job):
    tell(scene, job, 10, ranks(0.0, 0.0))
    watch.look()
    tell(scene, job, 10, ranks(1700.0, 1700.0))
    assert pass_time(scene, watch) == ()
    tell(scene, job, 10, ranks(1700.0, 3400.0, state="T"))
    [hang] = pass_time(scene, watch)
    assert hang.ranks[0][1] == 0.0


def test_a_hang_is_over_with_the_next_word(scene, watch, job):
    tell(scene, job, 10, ranks(0.0, 0.0))
    watch.look()
    [_] = pass_time(scene, watch)
    # Between two looks it is still told.
    [_] = pass_time(scene, watch, 1.0)
    tell(scene, job, 12, ranks(0.0, 0.0))
    assert pass_time(scene, watch) == ()


def test_a_job_without_a_launcher_is_not_looked_at_unless_it_wishes_for_it(scene, watch):
    plain, wished = scene.run(), scene.run(hang_after_s=600.0)
    for job in (plain, wished):
        tell(scene, job, 10, tuple(replace(one, rank=None) for one in ranks(0.0, 0.0)))
    watch.look()
    [hang] = pass_time(scene, watch)
    assert hang.job.id == wished.id


def test_without_ranks_all_processes_together_count(scene, watch):
    job = scene.run(hang_after_s=600.0)
    tell(scene, job, 10, tuple(replace(one, rank=None) for one in ranks(0.0, 0.0)))
    watch.look()
    tell(scene, job, 10, tuple(replace(one, rank=None) for one in ranks(0.0, 500.0)))
    assert pass_time(scene, watch) == ()


def test_a_job_whose_processes_cannot_be_seen_is_not_called_hung(scene, watch, job):
    tell(scene, job, 10, ())
    watch.look()
    assert pass_time(scene, watch) == ()


def test_a_job_that_asked_for_it_is_ended_as_hung(scene, watch):
    job = scene.run(launcher="torchrun", gpus=2, hang_after_s=600.0)
    tell(scene, job, 10, ranks(0.0, 0.0))
    watch.look()
    pass_time(scene, watch, 600.0)
    scene.advance(10.0)
    ended = scene.job(job)
    assert ended.state is JobState.FAILED
    assert ended.cause.startswith("hung: ")
    assert [row.action for row in scene.store.audit(job_id=job.id)].count("end_hung") == 1


def test_a_new_attempt_begins_with_a_clean_sheet(scene, watch, job):
    tell(scene, job, 10, ranks(0.0, 0.0))
    watch.look()
    scene.cancel(job)
    scene.advance(1.0)
    again = scene.desk.store.job(job.id)
    assert again.state is JobState.CANCELLED
    assert pass_time(scene, watch) == ()


def test_without_a_threshold_nothing_is_told(scene, job):
    watch = HangWatch(scene.desk, None)
    tell(scene, job, 10, ranks(0.0, 0.0))
    watch.look()
    assert pass_time(scene, watch) == ()
