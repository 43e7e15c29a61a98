"""What is learned of how predictions turn out."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.scheduler.calibrate import Calibration

HOUR_S = 3600.0


def taught(jobs: int, spread: float, bias: float = 1.0, seed: int = 1) -> Calibration:
    """A calibration that saw jobs of all lengths run so much longer than predicted, give or take the spread."""
    chance, calibration = random.Random(seed), Calibration()  # noqa: S311  an experiment
    for _ in range(jobs):
        predicted_s = math.exp(chance.gauss(math.log(HOUR_S), 2.0))
        calibration.learn(predicted_s, predicted_s * bias * math.exp(chance.gauss(0.0, spread)))
    return calibration


def test_at_first_a_job_is_thought_to_run_as_the_prior_says():
    assert Calibration().means(HOUR_S) == pytest.approx(HOUR_S * math.exp(0.5), rel=0.05)


@pytest.mark.parametrize(("spread", "bias"), [(0.2, 1.0), (1.0, 1.0), (1.0, 3.0), (0.5, 0.25)])
def test_the_mean_run_of_a_prediction_is_learned_with_its_bias_and_its_spread(spread, bias):
    means = taught(4000, spread, bias).means
    for predicted_s in (600.0, HOUR_S, 10 * HOUR_S):
        assert means(predicted_s) == pytest.approx(predicted_s * bias * math.exp(spread**2 / 2), rel=0.3)


def test_a_job_that_has_run_long_is_thought_to_run_longer_and_never_to_have_ended():
    means = taught(2000, 1.0).means
    thought = [means.given(HOUR_S, ran_s) for ran_s in (0.0, HOUR_S, 5 * HOUR_S, 50 * HOUR_S, 5000 * HOUR_S)]
    assert thought == sorted(thought)
    assert thought[-1] > 5000 * HOUR_S


def test_what_one_octave_shows_beside_the_line_is_kept_to_it():
    chance, calibration = random.Random(1), Calibration()  # noqa: S311  an experiment
    for _ in range(3000):
        calibration.learn(HOUR_S, HOUR_S)
        calibration.learn(100 * HOUR_S, 100 * HOUR_S)
        calibration.learn(10 * HOUR_S, 30 * HOUR_S * chance.uniform(0.9, 1.1))
    assert calibration.means(10 * HOUR_S) == pytest.approx(30 * HOUR_S, rel=0.05)
    assert calibration.means(100 * HOUR_S) == pytest.approx(100 * HOUR_S, rel=0.05)


@given(st.lists(st.tuples(st.floats(0.0, 1e9), st.floats(0.0, 1e9)), max_size=60), st.floats(0.0, 1e9))
def test_whatever_was_seen_what_is_thought_is_a_time_and_the_same_again(seen, predicted_s):
    first, second = Calibration(), Calibration()
    for pair in seen:
        first.learn(*pair)
        second.learn(*pair)
    assert 0.0 < first.means(predicted_s) < math.inf
    assert first.means(predicted_s) == second.means(predicted_s)
    for ran_s in (1.0, 1e4, 1e12):
        assert ran_s <= first.expected_s(predicted_s, ran_s) < math.inf
