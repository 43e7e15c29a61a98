"""What the last runs of a kind say: the median of Kaplan and Meier, worked out by hand."""

from math import exp, log

import pytest

from dcdaemon.core.job import JobState
from dcdaemon.scheduler.predict_runs import EARLY_WEIGHT, KEPT, Run, Runs, run_of

CUT = (JobState.CANCELLED, JobState.TIMED_OUT, JobState.PREEMPTED, JobState.INTERRUPTED, JobState.LOST)


def known(*runs):
    """Take in runs, in seconds; a negative one was cut short after so many."""
    taken = Runs()
    for run_s in runs:
        taken.add(Run(log(abs(run_s)), ended=run_s > 0))
    return taken.known


@pytest.mark.parametrize(
    ("runs", "median_s"),
    [
        ((100,), 100),
        ((100, 300, 200), 200),
        # Of an even number the middle of the two in the middle, by factors.
        ((100, 400), 200),
        # Cut short at 50, it would have lasted as long as one of the others.
        ((-50, 100, 200, 300), 200),
        # At risk are 4, 3 and 1: 3/4 of the runs last longer than 100, 1/2 longer than 200, none longer than 400.
        ((100, 200, -300, 400), (200 * 400) ** 0.5),
        ((-300, 200, 100), 200),
        # A tie: the one that was cut short would have gone on.
        ((100, -100, 400), 400),
    ],
)
def test_the_median_counts_runs_that_were_cut_short_with_the_longer_ones(runs, median_s):
    assert exp(known(*runs).log) == pytest.approx(median_s)
    assert not known(*runs).at_least


def test_when_half_of_the_runs_were_cut_short_the_median_is_only_known_not_to_be_less():
    said = known(100, -200, -300)
    assert exp(said.log) == pytest.approx(300)
    assert (said.at_least, said.weight) == (True, 3)


def test_runs_that_were_cut_short_do_not_count_where_the_median_is_known():
    assert known(-50, 100, 200, 300).weight == 3


def test_the_spread_is_half_of_what_lies_between_the_16th_and_the_84th_of_a_hundred():
    assert known(*[100] * 5).sigma == 0
    assert known(*(exp(length) for length in range(1, 11))).sigma == pytest.approx((9 - 2) / 2)
    assert known(100, -1000).sigma == pytest.approx(log(10) / 2)


def test_what_was_run_long_ago_is_forgotten():
    assert exp(known(*[10] * 100, *[1000] * KEPT).log) == pytest.approx(1000)
    assert known(*[10] * 100).weight == 100


def test_a_job_that_fails_in_its_first_minute_counts_for_little():
    assert run_of(59, JobState.FAILED) == Run(log(59), EARLY_WEIGHT)
    assert run_of(59, JobState.OUT_OF_MEMORY) == Run(log(59), EARLY_WEIGHT)
    assert run_of(60, JobState.FAILED) == Run(log(60))
    assert run_of(59, JobState.SUCCEEDED) == Run(log(59))
    runs = Runs()
    for run in [run_of(36000, JobState.SUCCEEDED), *[run_of(5, JobState.FAILED)] * 3]:
        runs.add(run)
    assert exp(runs.known.log) == pytest.approx(36000)
    runs.add(run_of(5, JobState.FAILED))
    runs.add(run_of(5, JobState.FAILED))
    assert exp(runs.known.log) == pytest.approx(5)


@pytest.mark.parametrize("state", CUT)
def test_what_others_ended_was_cut_short(state):
    assert run_of(100, state) == Run(log(100), ended=False)


def test_a_run_of_no_time_lasted_a_second():
    assert run_of(0, JobState.SUCCEEDED).log == 0
