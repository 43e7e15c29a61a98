"""When a job will start is foretold from what waits and runs, and learned from how it turned out."""

import math
import random

import pytest

from dcdaemon.core.plan import Part, Reservation
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.memory import Past
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.start_time import LEAST_S, StartTimes
from dcdaemon.scheduler.start_time_past import replay
from dcdaemon.scheduler.start_time_room import Room, Rooms

SHORTEST = Policy(order=Order.SHORTEST, gangs=True)
NODES = tuple(NodeView(name, 16, 1000, tuple(GpuSlot(gpu) for gpu in range(4))) for name in ("n1", "n2"))
HOUR_S = 3600.0
FULL, FITS = Room(fits=False), Room(fits=True)


def queued(job_id: int, gpus: int = 1, run_s: float = HOUR_S, **fields) -> QueuedJob:
    return QueuedJob(job_id, job_id, fields.pop("priority", 50), gpus, 0, 0, None, predicted_s=run_s, **fields)


def start_times(policy: Policy = SHORTEST) -> StartTimes:
    return StartTimes(NODES, policy, lambda predicted_s: predicted_s)


def run(starts: StartTimes, job: QueuedJob, at: float = 0.0) -> None:
    starts.queued(job)
    starts.started(job.id, at)


def wait_s(starts: StartTimes, job: QueuedJob, now: float = 0.0, room: Room = FULL, alike: int = 0) -> float:
    foretold = starts.foretell(job, room, now, alike)
    assert foretold is not None
    assert now <= foretold.low_at <= foretold.at <= foretold.high_at
    return foretold.at - now


def test_a_job_that_fits_is_told_that_it_starts_at_once():
    foretold = start_times().foretell(queued(1), FITS, 100.0)
    assert foretold is not None
    assert (foretold.low_at, foretold.at, foretold.high_at) == (100.0, 100.0, 100.0 + LEAST_S)


def test_a_job_that_asks_for_what_is_not_there_is_told_nothing():
    cpu_nodes = (NodeView("n1", 16, 1000),)
    starts = StartTimes(cpu_nodes, SHORTEST, lambda predicted_s: predicted_s)
    assert starts.foretell(queued(1, gpus=1), FULL, 0.0) is None


def test_the_more_work_goes_first_the_longer_is_the_wait():
    starts = start_times()
    before = wait_s(starts, queued(9))
    starts.queued(queued(1, run_s=600.0))
    some = wait_s(starts, queued(9))
    starts.queued(queued(2, run_s=900.0))
    assert before < some < wait_s(starts, queued(9))
    starts.left(1)
    starts.left(2)
    assert wait_s(starts, queued(9)) == before


def test_what_comes_later_in_the_order_does_not_count():
    starts = start_times()
    before = wait_s(starts, queued(9, run_s=600.0))
    starts.queued(queued(1, gpus=4, run_s=100 * HOUR_S))
    starts.queued(queued(2, run_s=60.0, priority=40))
    assert wait_s(starts, queued(9, run_s=600.0)) == before
    starts.queued(queued(3, gpus=4, run_s=100 * HOUR_S, priority=60))
    assert wait_s(starts, queued(9, run_s=600.0)) > before


def test_under_fifo_all_who_came_before_count():
    starts = start_times(Policy())
    before = wait_s(starts, queued(9, run_s=600.0))
    starts.queued(queued(1, gpus=4, run_s=100 * HOUR_S))
    assert wait_s(starts, queued(9, run_s=600.0)) > before


def test_the_longer_the_others_run_on_the_longer_is_the_wait():
    soon, late = start_times(), start_times()
    run(soon, queued(1, gpus=8, run_s=600.0))
    run(late, queued(1, gpus=8, run_s=60000.0))
    assert wait_s(soon, queued(9, gpus=8)) < wait_s(late, queued(9, gpus=8))


def test_free_gpus_that_are_kept_for_others_are_no_room():
    starts = start_times()
    run(starts, queued(1, gpus=4, run_s=60000.0))
    assert wait_s(starts, queued(9)) < wait_s(starts, queued(9), room=Room(fits=False, kept_gpus=4))


def test_jobs_submitted_together_wait_for_each_other():
    starts = start_times()
    alone, after_nine = wait_s(starts, queued(1)), wait_s(starts, queued(1), alike=9)
    for number in range(1, 10):
        starts.queued(queued(number))
    assert alone < after_nine == pytest.approx(wait_s(starts, queued(10)))


def test_what_waits_turn_out_to_be_is_learned():
    starts, chance = start_times(), random.Random(1)  # noqa: S311  the same one each time
    for number in range(400):
        now = number * HOUR_S
        foretold = starts.foretell(queued(number), FULL, now)
        assert foretold is not None
        starts.watch(number, foretold)
        starts.started(number, now + 20 * HOUR_S * math.exp(chance.gauss(0, 0.2)))
    foretold = starts.foretell(queued(400), FULL, 400 * HOUR_S)
    assert foretold is not None
    assert foretold.at - 400 * HOUR_S == pytest.approx(20 * HOUR_S, rel=0.1)
    # Four of five lie within a factor of e to the power of 1.28 spreads.
    assert (foretold.high_at - 400 * HOUR_S) / (foretold.low_at - 400 * HOUR_S) == pytest.approx(
        math.exp(2 * 1.2816 * 0.2), rel=0.25
    )


def test_those_who_still_wait_are_not_left_out_of_the_count():
    def latest_s(started_of_three: int) -> float:
        starts = start_times()
        for number in range(300):
            foretold = starts.foretell(queued(number), FULL, 0.0)
            assert foretold is not None
            starts.watch(number, foretold)
            if number % 3 < started_of_three:
                starts.started(number, HOUR_S)
        foretold = starts.foretell(queued(300), FULL, 50 * HOUR_S)
        assert foretold is not None
        return foretold.high_at - 50 * HOUR_S

    assert latest_s(3) < 5 * HOUR_S
    assert latest_s(2) > 50 * HOUR_S


def test_a_job_that_is_taken_back_teaches_nothing():
    taught, untaught = start_times(), start_times()
    foretold = taught.foretell(queued(1), FULL, 0.0)
    assert foretold is not None
    taught.watch(1, foretold)
    taught.left(1)
    assert taught.foretell(queued(2), FULL, HOUR_S) == untaught.foretell(queued(2), FULL, HOUR_S)


def test_the_past_gone_through_again_teaches_the_same():
    live, again, pasts = start_times(), start_times(), []
    for number in range(60):
        at = number * HOUR_S
        pasts.append(Past(at, number, 8, at + 600.0, HOUR_S / 2, HOUR_S))
        foretold = live.foretell(queued(number, gpus=8, queued_at=at), live.room(queued(number, gpus=8)), at)
        assert foretold is not None
        live.watch(number, foretold)
        live.queued(queued(number, gpus=8, queued_at=at))
        live.started(number, at + 600.0)
        live.left(number)
    replay(again, reversed(pasts))
    now = 60 * HOUR_S
    assert live.foretell(queued(60), FULL, now) == again.foretell(queued(60), FULL, now)


# ---------------------------------------------------------------- room


def rooms(*kept: Reservation, running: tuple[RunningJob, ...] = ()) -> Rooms:
    return Rooms(spaces_of(ClusterView(NODES, running)), kept, SHORTEST, 0.0)


def kept_on_n1(expected_at: float | None, *, promised: bool = False) -> Reservation:
    return Reservation(99, "n1", (0, 1, 2, 3), None, expected_at=expected_at, promised=promised)


def test_jobs_that_are_asked_about_together_do_not_get_the_same_gpus():
    asked = rooms()
    assert [asked.of(queued(number, gpus=3)).fits for number in range(4)] == [True, True, False, False]
    assert asked.of(queued(5, gpus=1)).fits


def test_a_gang_needs_whole_nodes():
    on_n1 = RunningJob(1, "n1", (0,), 0, 0, None)
    assert rooms().of(queued(1, gpus=8)).fits
    assert not rooms(running=(on_n1,)).of(queued(2, gpus=8)).fits


def test_gpus_kept_for_another_are_room_for_what_is_over_in_time():
    on_n2 = RunningJob(1, "n2", (0, 1, 2, 3), 0, 0, None)
    long, short = queued(2, gpus=2, run_s=HOUR_S), queued(3, gpus=2, run_s=600.0)
    kept = kept_on_n1(expected_at=2 * HOUR_S)
    assert rooms(kept, running=(on_n2,)).of(long) == Room(fits=False, kept_gpus=4)
    assert rooms(kept, running=(on_n2,)).of(short).fits
    assert not rooms(kept_on_n1(2 * HOUR_S, promised=True), running=(on_n2,)).of(short).fits
    assert not rooms(kept_on_n1(None), running=(on_n2,)).of(short).fits


def test_a_limit_lets_a_job_onto_gpus_that_are_promised():
    on_n2 = RunningJob(1, "n2", (0, 1, 2, 3), 0, 0, None)
    limited = QueuedJob(2, 2, 50, 2, 0, 0, HOUR_S, predicted_s=HOUR_S)
    kept = Reservation(99, "n1", (0, 1, 2, 3), 2 * HOUR_S, promised=True)
    assert rooms(kept, running=(on_n2,)).of(limited).fits


def test_all_nodes_of_a_gang_that_waits_are_kept():
    kept = Reservation(99, "n1", (0, 1, 2, 3), None, also=(Part("n2", (0, 1, 2, 3)),))
    assert rooms(kept).of(queued(1)) == Room(fits=False, kept_gpus=8)
