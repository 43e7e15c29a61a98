"""Whatever was run, a prediction is a time that can be planned with."""

from itertools import pairwise
from math import inf, isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.job import ENDED, JobState
from dcdaemon.scheduler.predict import Ask, Predictor
from dcdaemon.scheduler.predict_runs import KEPT, Run, Runs, run_of

asks = st.builds(
    Ask,
    st.sampled_from(["ada", "bob", "eve"]),
    st.sampled_from(["train", "eval", ""]),
    st.integers(0, 16),
    st.none() | st.floats(1e-3, 1e9),
)
times = st.floats(0, 1e12)
runs = st.lists(st.tuples(asks, times, st.sampled_from(sorted(ENDED))), max_size=60)


def learned(history, **bounds) -> Predictor:
    predictor = Predictor(**bounds)
    for run in history:
        predictor.learn(*run)
    return predictor


@given(runs, asks)
def test_a_prediction_is_positive_finite_and_never_above_the_limit(history, ask):
    expected = learned(history).predict(ask)
    assert 0 < expected.run_s < inf
    assert isfinite(expected.sigma)
    assert expected.sigma >= 0
    assert ask.limit_s is None or expected.run_s <= ask.limit_s


@given(runs, asks)
def test_the_same_history_gives_the_same_prediction(history, ask):
    assert learned(history).predict(ask) == learned(history).predict(ask)


@given(runs, asks, st.lists(asks, max_size=10))
def test_asking_changes_no_prediction(history, ask, others):
    predictor = learned(history)
    before = predictor.predict(ask)
    for other in others:
        predictor.predict(other)
    assert predictor.predict(ask) == before


@given(runs, asks, st.floats(1, 1e9))
def test_whatever_came_before_the_prediction_comes_near_what_all_runs_of_a_command_take(history, ask, run_s):
    unlimited = ask._replace(limit_s=None)
    predictor = learned(history)
    for runs in (KEPT, 9 * KEPT):
        for _ in range(runs):
            predictor.learn(unlimited, run_s)
        # Farthest off are others that last 30,000 years; each of two levels keeps a share of that of one to its runs.
        assert abs(log(predictor.predict(unlimited).run_s / run_s)) < log(1e12) / runs**2


@given(st.floats(1, 1e9))
def test_alike_from_the_beginning_each_run_brings_it_nearer(run_s):
    predictor, ask = Predictor(), Ask("ada", "train", 1)
    off = []
    for _ in range(50):
        off.append(abs(log(predictor.predict(ask).run_s / run_s)))
        predictor.learn(ask, run_s)
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(off))
    assert off[-1] <= off[0] / 100 + 1e-9


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 50)), max_size=150), st.integers(12, 40))
def test_no_more_kinds_are_kept_than_agreed(history, most):
    predictor = learned(
        ((Ask(f"u{user}", f"c{command}", user % 9, 100.0), 5.0) for user, command in history), most_kinds=most
    )
    assert len(predictor) <= 2 * most


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(sorted(ENDED))), min_size=1, max_size=KEPT))
def test_the_median_is_that_of_moving_what_was_cut_short_to_the_right(history):
    taken, plain = Runs(), []
    for length, state in history:
        run = run_of(60 * 2.0**length, state)
        taken.add(run)
        plain.append(run)
    known = taken.known
    assert (None if known.at_least else known.log) == pytest.approx(moved_to_the_right(plain))


def moved_to_the_right(history: list[Run]) -> float | None:
    """Efron's way to the same: the weight of a run that was cut short goes to all that lasted longer."""
    ordered = sorted(history, key=lambda run: (run.log, not run.ended))
    weights = [run.weight for run in ordered]
    for place, run in enumerate(ordered):
        rest = sum(ordered[later].weight for later in range(place + 1, len(ordered)))
        if not run.ended and rest:
            for later in range(place + 1, len(ordered)):
                weights[later] += weights[place] * ordered[later].weight / rest
            weights[place] = 0.0
    half, below = sum(weights) / 2, 0.0
    ends = [(run.log, weight) for run, weight in zip(ordered, weights, strict=True) if run.ended]
    for place, (length, weight) in enumerate(ends):
        below += weight
        if below > half + 1e-9:
            return length
        if below > half - 1e-9:
            return (length + ends[place + 1][0]) / 2 if place + 1 < len(ends) else length
    return None


def test_every_end_of_a_job_can_be_learned_from():
    predictor = learned((Ask("ada", "train", 1, 50.0), 100.0, state) for state in JobState)
    assert predictor.predict(Ask("ada", "train", 1, 50.0)).run_s <= 50
