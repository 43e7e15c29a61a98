"""The FIFO that is played beside the real schedule, against a plain replay and by hand."""

import math

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plain_replay import fifo_starts, lowest
from dcdaemon.scheduler.shadow import DAY_S, MEMORY_DAYS, Shadow


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 90), st.sampled_from([1, 2, 4, 8, 16])), min_size=1),
    st.integers(2, 4),
)
def test_with_true_durations_it_waits_as_long_as_a_plain_replay_of_fifo(arrivals, nodes):
    jobs = [(float(at), float(run_s), gpus) for at, run_s, gpus in sorted(arrivals)]
    shadow = Shadow([8] * nodes, foreseen=0.0)
    for number, (at, run_s, gpus) in enumerate(jobs):
        shadow.submit(number, gpus, run_s, at)
    starts = fifo_starts(jobs, nodes, lowest)
    assert shadow.longest_wait_s(1e5) == max(start - job[0] for start, job in zip(starts, jobs, strict=True))


def test_what_is_learned_of_a_run_moves_its_end():
    shadow = Shadow([1], foreseen=0.0)
    shadow.submit(1, 1, 1000.0, 0.0)
    shadow.submit(2, 1, 1000.0, 0.0)
    shadow.started(1, 0.0)
    shadow.ended(1, 400.0, 400.0)
    shadow.advance(500.0)
    assert shadow.longest_wait_s(500.0) == 400.0


def test_a_job_that_outlasts_its_prediction_is_taken_to_last_as_long_again():
    shadow = Shadow([1], foreseen=0.0)
    shadow.submit(1, 1, 100.0, 0.0)
    shadow.started(1, 0.0)
    shadow.submit(2, 1, 100.0, 0.0)
    # At 100 it has run for as long as was thought: nothing says yet that it lasts longer.
    assert shadow.longest_wait_s(99.0) == 99.0
    late = Shadow([1], foreseen=0.0)
    late.submit(1, 1, 100.0, 0.0)
    late.submit(2, 1, 100.0, 50.0)
    late.started(1, -30.0)
    assert late.longest_wait_s(150.0) == 100.0, "it has really run 130 s at 100, so it goes on to 260"


def test_those_who_still_wait_count_and_those_who_left_do_not():
    shadow = Shadow([1], foreseen=0.0)
    shadow.submit(1, 1, math.inf, 0.0)
    shadow.submit(2, 1, 10.0, 5.0)
    assert shadow.longest_wait_s(65.0) == 60.0
    shadow.left(2, 65.0)
    assert shadow.longest_wait_s(100.0) == 0.0


def test_a_job_that_no_node_can_hold_is_left_out():
    shadow = Shadow([4, 4], foreseen=0.0)
    shadow.submit(1, 9, 10.0, 0.0)
    shadow.submit(2, 1, 10.0, 0.0)
    assert shadow.longest_wait_s(100.0) == 0.0


def test_long_waits_are_forgotten_in_the_end():
    shadow = Shadow([1], foreseen=0.0)
    shadow.submit(1, 1, 3600.0, 0.0)
    shadow.submit(2, 1, 10.0, 0.0)
    shadow.submit(3, 1, 10.0, 7200.0)
    assert shadow.longest_wait_s(MEMORY_DAYS * DAY_S) == 3600.0
    assert shadow.longest_wait_s((MEMORY_DAYS + 1) * DAY_S) == 0.0
