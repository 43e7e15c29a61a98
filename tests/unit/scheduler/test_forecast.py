"""When jobs are expected to start: the future played through, or the work ahead counted."""

from dataclasses import replace

from scenes import NOW, node, running, view, waiting

from dcdaemon.core.plan import Reservation
from dcdaemon.core.reasons import Basis
from dcdaemon.core.view import ClusterView, RunningJob, Standing
from dcdaemon.scheduler.ahead import Line
from dcdaemon.scheduler.forecast import LONGER, MOST_AHEAD, SHORTER, forecast, forecasts
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex

SHORTEST = Policy(order=Order.SHORTEST)
ALL = tuple(range(8))


def when(picture, *jobs, job_id=None, policy=SHORTEST):
    line = Line.of(picture, QueueIndex(jobs), policy, NOW)
    return forecast(picture, line, policy, NOW, job_id or jobs[-1].id)


def predicted(job_id, gpus, run_s, *, began_s=0.0, limit_s=None, on="n1"):
    return RunningJob(job_id, on, tuple(gpus), 1, 0, None if limit_s is None else NOW + limit_s, NOW - began_s, run_s)


def test_limits_alone_tell_the_latest_start_and_nothing_lies_beyond_it():
    told = when(view(running(1, ALL, 600)), waiting(2, 8))
    assert (told.low_at, told.at, told.high_at, told.basis) == (NOW + 200, NOW + 600, NOW + 600, Basis.LIMITS)
    assert (told.ended, told.after_others) == ((1,), False)


def test_predictions_tell_the_expected_start_and_how_far_it_may_be_off():
    told = when(view(predicted(1, ALL, 600)), waiting(2, 8))
    assert (told.at, told.basis) == (NOW + 600, Basis.PREDICTIONS)
    assert (told.low_at, told.high_at) == (NOW + 600 * SHORTER, NOW + 600 * LONGER)


def test_a_limit_ends_the_interval_of_a_prediction():
    assert when(view(predicted(1, ALL, 600, limit_s=900)), waiting(2, 8)).high_at == NOW + 900


def test_what_runs_before_is_played_in_the_order_of_the_queue():
    jobs = [waiting(2, 8, predicted_s=300.0), waiting(3, 8, predicted_s=400.0), waiting(4, 8, predicted_s=7200.0)]
    line = Line.of(view(predicted(1, ALL, 600)), QueueIndex(jobs), SHORTEST, NOW)
    told = forecasts(view(predicted(1, ALL, 600)), line, SHORTEST, NOW, [4, 2, 3])
    assert [told[job_id].at - NOW for job_id in (2, 3, 4)] == [600, 900, 1300]
    assert [told[job_id].after_others for job_id in (2, 3, 4)] == [False, True, True]


def test_what_jobs_of_a_prediction_really_ran_is_counted_on():
    standing = Standing(expect=lambda predicted_s: 3 * predicted_s)
    assert when(replace(view(predicted(1, ALL, 600)), standing=standing), waiting(2, 8)).at == NOW + 1800


def test_a_promise_is_carried_from_plan_to_plan():
    """The small jobs would start one after the other, and the wide one never: it is what they are kept off."""
    kept = Reservation(2, "n1", ALL, NOW + 900, promised=True, sticky=True)
    picture = view(running(1, ALL[:4], 900), *(running(10 + gpu, [gpu], 60 * gpu) for gpu in ALL[4:]))
    picture = replace(picture, standing=Standing((kept,), 0.0))
    small = [waiting(20 + number, 1, predicted_s=300.0) for number in range(8)]
    told = when(picture, *small, waiting(2, 8, predicted_s=3600.0, queued_at=NOW - 90000))
    assert told.at == NOW + 900


def test_limits_are_kept_and_what_ends_gives_them_back():
    key = ("user", "ada")
    held = replace(running(1, [0], 600), caps=(key,))
    picture = ClusterView((node(),), (held,), {key: 1})
    jobs = [replace(waiting(job_id, 1, 300), caps=(key,)) for job_id in (2, 3)]
    assert when(picture, *jobs, policy=Policy()).at == NOW + 900


def test_a_gang_gives_its_limit_back_once():
    key = ("array", "7")
    gang = [replace(running(1, ALL, 600, on=name), caps=(key,)) for name in ("a", "b")]
    picture = ClusterView((node("a"), node("b")), tuple(gang), {key: 1})
    told = when(picture, replace(waiting(2, 16, 60), caps=(key,)), replace(waiting(3, 1), caps=(key,)),
                policy=Policy(gangs=True))  # fmt: skip
    assert told.at == NOW + 660


def test_a_begin_time_and_dependencies_come_in_the_play():
    assert when(view(), waiting(2, 1, begin_at=NOW + 60)).at == NOW + 60
    jobs = [waiting(2, 1, 30, begin_at=NOW + 60), waiting(3, 1, waits_for=(2,))]
    assert when(view(), *jobs).at == NOW + 90


def test_no_start_is_foretold_where_no_end_is_known():
    assert when(view(running(1, ALL)), waiting(2, 1)) is None
    assert when(view(running(1, ALL)), waiting(2, 1, waits_for=(9,))) is None


def test_far_back_in_the_line_only_the_work_ahead_is_counted():
    jobs = [waiting(number, 8, 600.0) for number in range(2, MOST_AHEAD + 3)]
    told = when(view(running(1, ALL, 1200)), *jobs, waiting(9999, 8), policy=Policy())
    assert told.basis is Basis.WORK
    assert told.at == NOW + 1200 + 600 * len(jobs)
    assert told.low_at < told.at < told.high_at
    nearer = when(view(running(1, ALL, 1200)), *jobs[:60], waiting(9999, 8), policy=Policy())
    assert nearer.basis is Basis.LIMITS
    # Ends far away are taken together: a tenth more or less is as good as it gets.
    assert 0.9 < (nearer.at - NOW) / (1200 + 600 * 60) < 1.1


def test_endless_jobs_are_no_capacity():
    jobs = [waiting(number, 4, 600.0) for number in range(2, MOST_AHEAD + 3)]
    told = when(view(running(1, ALL[:4])), *jobs, waiting(9999, 4), policy=Policy())
    assert told.at == NOW + 600 * len(jobs)
    assert when(view(running(1, ALL)), *jobs, waiting(9999, 4), policy=Policy()) is None
