"""The errors of forecasts, those that are not over yet among them, and the line that is drawn through what is seen."""

import math
import random

import pytest

from dcdaemon.scheduler.start_time_errors import BEYOND, ENOUGH, STARTED_KEPT, UNSEEN, Case, Errors, quantiles_of
from dcdaemon.scheduler.start_time_line import Line, solved
from dcdaemon.scheduler.start_time_score import StartAccuracy, StartScore, Told

LEAST_S = 60.0
KINDS = (("fine",), ())


def case(base: float = math.log(LEAST_S)) -> Case:
    return Case(0.0, base, KINDS)


def test_quantiles_of_what_is_known_are_the_plain_ones():
    assert quantiles_of((float(place), True) for place in range(1, 11)) == (1.0, 5.0, 9.0)


def test_who_left_the_count_early_says_nothing_about_how_long_the_others_last():
    known = [(float(place), True) for place in range(1, 11)]
    assert quantiles_of([*known, *[(0.0, False)] * 50]) == quantiles_of(known)


def test_who_has_lasted_longer_than_all_others_moves_the_upper_end_beyond():
    low, middle, high = quantiles_of([*((float(place), True) for place in range(1, 11)), *[(20.0, False)] * 5])
    assert (low, middle, high) == (2.0, 8.0, 20.0 + BEYOND)


def test_where_nothing_is_known_to_be_over_all_of_it_lies_beyond():
    assert quantiles_of([(3.0, False), (1.0, False)]) == (3.0 + BEYOND, 3.0 + BEYOND, 3.0 + BEYOND)


def test_before_anything_is_seen_the_interval_is_the_one_that_is_said():
    low, middle, high = Errors(LEAST_S).quantiles(KINDS, UNSEEN, 0.0)
    assert (low, middle, high) == (-UNSEEN, 0.0, UNSEEN)


def test_a_fine_kind_answers_once_it_has_been_seen_enough():
    errors = Errors(LEAST_S)
    for number in range(ENOUGH):
        one = case()
        errors.watch(number, one)
        assert errors.quantiles(KINDS, UNSEEN, float(number)).high > 0.0
        errors.started(number, one, 0.0)
    assert errors.quantiles(KINDS, UNSEEN, 0.0) == (0.0, 0.0, 0.0)


def test_old_errors_are_forgotten():
    errors = Errors(LEAST_S)
    for number in range(2 * STARTED_KEPT):
        one = case()
        errors.watch(number, one)
        errors.started(number, one, 600.0 if number >= STARTED_KEPT else 0.0)
    assert errors.quantiles(KINDS, UNSEEN, 0.0).low == pytest.approx(math.log(11))


def test_misses_widen_their_end_and_hits_take_it_back():
    errors = Errors(LEAST_S)
    before = errors.quantiles(KINDS, UNSEEN, 0.0)
    errors.judge(case(), below=False, above=True)
    after = errors.quantiles(KINDS, UNSEEN, 0.0)
    assert (after.low, after.middle) == (before.low, before.middle)
    assert after.high > before.high
    for _ in range(9):
        errors.judge(case(), below=False, above=False)
    assert errors.quantiles(KINDS, UNSEEN, 0.0) == pytest.approx(before)


def test_a_line_is_found_through_what_it_is_shown():
    line, chance = Line([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], 1000.0), random.Random(1)  # noqa: S311  the same each time
    for _ in range(800):
        traits = (1.0, chance.gauss(0, 1), chance.gauss(0, 1))
        line.learn(traits, 3.0 - 2.0 * traits[1] + 0.5 * traits[2] + chance.gauss(0, 0.1))
    assert line.weights == pytest.approx([3.0, -2.0, 0.5], abs=0.05)
    assert line.at((1.0, 1.0, 2.0)) == pytest.approx(2.0, abs=0.1)


def test_a_line_forgets():
    line = Line([0.0], [1.0], 50.0)
    for value in (*[10.0] * 400, *[-10.0] * 400):
        line.learn((1.0,), value)
    assert line.weights == pytest.approx([-10.0], abs=0.5)


def test_a_trait_that_never_varies_keeps_its_weight():
    line = Line([1.0, 7.0], [1.0, 1.0], 100.0)
    for _ in range(5000):
        line.learn((1.0, 0.0), 2.0)
    assert line.weights == pytest.approx([2.0, 7.0], abs=0.02)


def test_equations_are_solved():
    assert solved([[4.0, 2.0, 1.0, 11.0], [2.0, 5.0, 3.0, 21.0], [1.0, 3.0, 6.0, 25.0]]) == pytest.approx(
        [1.0, 2.0, 3.0]
    )


# ---------------------------------------------------------------- score


def test_the_score_tells_what_lay_within_and_how_far_off_the_rest_was():
    score = StartScore()
    score.started(1, Told(0.0, 0.0, 0.0, 60.0), 2.0)
    score.started(2, Told(0.0, 0.0, 0.0, 60.0), 200.0)
    score.started(3, Told(0.0, 100.0, 300.0, 500.0), 400.0)
    score.started(4, Told(0.0, 100.0, 300.0, 500.0), 30.0)
    assert score.accuracy() == StartAccuracy(
        4, 0, within_ratio=0.5, typical_error_ratio=pytest.approx((1.0 + 0.25) / 2), at_once_ratio=0.5
    )


def test_who_waits_for_longer_than_foretold_is_a_miss_already():
    score = StartScore()
    score.started(1, Told(0.0, 0.0, 0.0, 60.0), 2.0)
    assert score.accuracy(late=3).within_ratio == 0.25
    assert StartScore().accuracy(late=3) == StartAccuracy(0, 3, within_ratio=0.0)


def test_without_starts_the_score_knows_nothing():
    assert StartScore().accuracy() == StartAccuracy(0)


def test_the_score_is_about_the_last_starts_each_once():
    score = StartScore(kept=2)
    for job_id, at in ((1, 1.0), (1, 1.0), (2, 600.0), (3, 600.0)):
        score.started(job_id, Told(0.0, 0.0, 0.0, 60.0), at)
    assert score.accuracy()[:3] == (2, 0, 0.0)
