"""A prediction comes from the runs most like the job, as far as there are any, and from its limit."""

import pytest

from dcdaemon.core.job import JobState
from dcdaemon.core.prediction import Source
from dcdaemon.scheduler.predict import PRIOR, USED_OF_LIMIT, Ask, Predictor

TRAIN, EVAL = Ask("ada", "python train.py", 1), Ask("ada", "python eval.py", 1)
HOUR_S = 3600.0


def learned(*runs):
    """Learn from (ask, run_s) or (ask, run_s, state)."""
    predictor = Predictor()
    for run in runs:
        predictor.learn(*run)
    return predictor


def test_when_nothing_is_known_the_prior_is_predicted():
    expected = Predictor().predict(TRAIN)
    assert expected == (pytest.approx(PRIOR.run_s), Source.PRIOR, PRIOR.sigma, None)


def test_one_run_of_the_same_command_tells_more_than_all_others_of_the_user():
    predictor = learned(*[(EVAL, 60.0)] * 50, (TRAIN, 10 * HOUR_S))
    assert predictor.predict(TRAIN).run_s > 1.5 * HOUR_S
    assert predictor.predict(EVAL).run_s == pytest.approx(60, rel=0.1)
    assert predictor.predict(TRAIN).by is Source.HISTORY


def test_a_new_command_is_expected_to_run_like_others_of_its_user():
    others = [(Ask("ada", f"python {number}.py", 1), 60.0) for number in range(40)]
    predictor = learned(*others, *[(Ask("bob", f"{number}.sh", 1), 10 * HOUR_S) for number in range(40)])
    new = [predictor.predict(Ask(user, "new", 1)).run_s for user in ("ada", "zoe", "bob")]
    assert new == sorted(new)
    assert new[0] < 200
    assert new[2] > 5 * HOUR_S


def test_the_number_of_gpus_tells_runs_of_one_command_apart():
    predictor = learned(*[(TRAIN, HOUR_S), (TRAIN._replace(gpus=8), HOUR_S / 8)] * 10)
    assert predictor.predict(TRAIN).run_s == pytest.approx(HOUR_S, rel=0.2)
    assert predictor.predict(TRAIN._replace(gpus=8)).run_s == pytest.approx(HOUR_S / 8, rel=0.2)


def test_a_sweep_does_not_drown_what_else_the_user_runs():
    others = [(Ask("ada", f"python {number}.py", 1), 10 * HOUR_S) for number in range(12)]
    new = Ask("ada", "new", 1)
    before = learned(*others).predict(new).run_s
    after = learned(*others, *[(TRAIN, 60.0)] * 500).predict(new).run_s
    assert before > HOUR_S
    assert after > before / 30
    assert learned(*others, *[(Ask("ada", f"s{number}", 1), 60.0) for number in range(500)]).predict(new).run_s < 100


def test_people_change_their_jobs_and_the_prediction_follows():
    predictor = learned(*[(TRAIN, 10 * HOUR_S)] * 100, *[(TRAIN, 60.0)] * 20)
    assert predictor.predict(TRAIN).run_s < 120


def test_a_limit_is_never_exceeded_and_says_so():
    predictor = learned(*[(TRAIN, 10 * HOUR_S)] * 20)
    assert predictor.predict(TRAIN._replace(limit_s=HOUR_S))[:2] == (HOUR_S, Source.LIMIT)


def test_of_an_unknown_user_a_part_of_the_limit_is_expected():
    expected = Predictor().predict(TRAIN._replace(limit_s=60 * HOUR_S))
    assert PRIOR.run_s < expected.run_s < USED_OF_LIMIT * 60 * HOUR_S
    assert expected.by is Source.LIMIT


def test_it_is_learned_what_a_user_uses_of_a_limit():
    careful = [(Ask("ada", f"{number}.py", 1, 100.0 * number), 95.0 * number) for number in range(1, 60)]
    careless = [(Ask("bob", f"{number}.py", 1, 100.0 * number), 1.0 * number) for number in range(1, 60)]
    predictor = learned(*(run for both in zip(careful, careless, strict=True) for run in both))
    ada, bob = (predictor.predict(Ask(user, "new", 1, 50_000.0)).run_s for user in ("ada", "bob"))
    assert ada > 10_000
    assert bob < 1000


def test_the_runs_of_a_command_tell_more_than_its_limit():
    limited = TRAIN._replace(limit_s=100 * HOUR_S)
    predictor = learned(*[(limited, HOUR_S)] * 10)
    assert predictor.predict(limited).run_s == pytest.approx(HOUR_S, rel=0.1)
    assert predictor.predict(limited).by is Source.HISTORY


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.TIMED_OUT, JobState.PREEMPTED, JobState.INTERRUPTED])
def test_what_was_cut_short_is_not_expected_to_end_then(state):
    cut = learned((TRAIN, 10.0, state), (TRAIN, 20.0, state))
    assert cut.predict(TRAIN) == Predictor().predict(TRAIN)
    long = learned(*[(TRAIN, 100 * HOUR_S, state)] * 5)
    assert long.predict(TRAIN).run_s > 50 * HOUR_S


def test_a_crash_at_the_start_says_little_and_a_row_of_them_says_enough():
    crash = (TRAIN, 5.0, JobState.FAILED)
    worked = learned(*[(TRAIN, 10 * HOUR_S)] * 3, crash).predict(TRAIN).run_s
    assert worked == pytest.approx(10 * HOUR_S, rel=0.3)
    assert learned(*[(TRAIN, 10 * HOUR_S)] * 3, *[crash] * 20).predict(TRAIN).run_s < 60


def test_the_spread_is_wide_where_little_is_known_and_shrinks_where_runs_are_alike():
    assert Predictor().predict(TRAIN).sigma == PRIOR.sigma
    alike = learned(*[(TRAIN, HOUR_S)] * 40).predict(TRAIN).sigma
    apart = learned(*[(TRAIN, HOUR_S), (TRAIN, 100 * HOUR_S)] * 20).predict(TRAIN).sigma
    assert alike < 0.2
    assert apart > 2


def test_kinds_of_runs_are_forgotten_when_there_are_too_many():
    predictor = Predictor(most_kinds=20)
    for number in range(500):
        predictor.learn(Ask(f"user{number}", f"{number}.py", 1, 100.0), 10.0)
        predictor.learn(TRAIN, HOUR_S)
    assert len(predictor) <= 2 * 20
    assert predictor.predict(TRAIN).run_s == pytest.approx(HOUR_S, rel=0.05)
