"""Who goes first by prediction, who has waited long enough, and what is kept for them."""

from dataclasses import replace

from scenes import NOW, node, running, view, waiting

from dcdaemon.core.plan import Reservation
from dcdaemon.core.view import Standing
from dcdaemon.scheduler.cycle import MOST_STICKY, plan
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex

HOUR_S = 3600.0
SHORTEST = Policy(order=Order.SHORTEST)
#: First in, first out would have kept people waiting for a day at most.
A_DAY = Standing(fifo_wait_s=24 * HOUR_S)


def decide(picture, *jobs, standing=A_DAY, policy=SHORTEST, at=NOW):
    return plan(replace(picture, standing=standing), QueueIndex(jobs), policy, at)


def predicted(job_id, gpus, run_s, waited_s=0.0, **rest):
    return waiting(job_id, gpus, rest.pop("limit_s", None), predicted_s=run_s, queued_at=NOW - waited_s, **rest)


def thought(job, run_s, since_s=0.0):
    """The running job, predicted to end run_s after its start, since_s ago."""
    return replace(job, predicted_s=run_s, started_at=NOW - since_s)


def started(decided):
    return [start.job_id for start in decided.starts]


def test_shorter_jobs_go_first_and_of_equally_long_ones_those_of_fewer_gpus():
    jobs = [predicted(1, 4, HOUR_S), predicted(2, 4, 900.0), predicted(3, 4, 600.0), predicted(4, 2, HOUR_S)]
    assert started(decide(view(), *jobs)) == [3, 2]
    assert started(decide(view(nodes=[node(gpus=10)]), *jobs)) == [3, 2, 4]


def test_a_job_counts_half_when_it_has_waited_four_times_its_length():
    old, new = predicted(1, 8, 2 * HOUR_S, waited_s=9 * HOUR_S), predicted(2, 8, 1.1 * HOUR_S)
    assert started(decide(view(), old, new)) == [1]
    assert started(decide(view(), replace(old, queued_at=NOW - 2 * HOUR_S), new)) == [2]


def test_a_priority_outweighs_every_prediction():
    assert started(decide(view(), predicted(1, 8, 99 * HOUR_S, priority=60), predicted(2, 8, 600.0))) == [1]


def test_an_overdue_job_goes_first_and_is_promised_what_becomes_free():
    picture = view(thought(running(1, range(6)), 2 * HOUR_S))
    overdue = predicted(10, 4, 20 * HOUR_S, waited_s=45 * HOUR_S)
    decided = decide(picture, predicted(11, 2, 600.0), overdue)
    assert decided.promises == (
        Reservation(10, "n1", (0, 1, 2, 3), None, (), NOW + 2 * HOUR_S, promised=True, sticky=True),
    )
    assert started(decided) == [11], "GPUs 6 and 7 are nobody's"
    wider = decide(picture, predicted(11, 2, 600.0), replace(overdue, gpus=7))
    assert (wider.promises[0].gpus, started(wider)) == ((0, 1, 2, 3, 4, 5, 6), [])


def test_onto_promised_gpus_only_an_enforced_limit_that_ends_in_time_lets_a_job():
    picture = view(thought(running(1, range(6)), 2 * HOUR_S))
    overdue = predicted(10, 8, 20 * HOUR_S, waited_s=45 * HOUR_S)
    assert started(decide(picture, overdue, predicted(11, 2, 300.0))) == []
    assert started(decide(picture, overdue, predicted(11, 2, 300.0, limit_s=HOUR_S))) == [11]
    assert started(decide(picture, overdue, predicted(11, 2, 300.0, limit_s=3 * HOUR_S))) == []


def test_a_start_is_promised_only_after_another_part_of_the_patience_and_kept_before():
    picture = view(thought(running(1, range(6)), 2 * HOUR_S))
    overdue = predicted(10, 8, 20 * HOUR_S, waited_s=22 * HOUR_S)
    decided = decide(picture, overdue, predicted(11, 2, 300.0))
    assert ([kept.job_id for kept in decided.sticky], decided.promises) == ([10], ())
    assert started(decided) == [11], "four times five minutes are over in time"
    assert decide(picture, replace(overdue, queued_at=NOW - 43.3 * HOUR_S)).promises != ()


def test_where_limits_tell_when_it_starts_an_overdue_job_is_promised_that_at_once():
    limited = view(thought(running(1, range(6), 2 * HOUR_S), HOUR_S))
    overdue = predicted(10, 8, 20 * HOUR_S, waited_s=22 * HOUR_S)
    [promise] = decide(limited, overdue).promises
    assert (promise.at, promise.expected_at) == (NOW + 2 * HOUR_S, NOW + HOUR_S)
    assert started(decide(limited, overdue, predicted(11, 2, 300.0))) == []


def test_a_job_goes_first_so_much_earlier_as_the_nodes_it_needs_take_to_empty():
    picture = view(thought(running(1, range(6)), 10 * HOUR_S))
    assert decide(picture, predicted(10, 8, HOUR_S, waited_s=11.5 * HOUR_S)).sticky == ()
    assert decide(picture, predicted(10, 8, HOUR_S, waited_s=11.7 * HOUR_S)).sticky != ()


def test_a_job_goes_where_it_puts_off_the_end_of_what_runs_there_least():
    nodes = [node("a"), node("b"), node("c")]
    ends = {"a": 9 * HOUR_S, "b": 3 * HOUR_S}
    busy = [thought(running(n, range(4), on=name), run_s) for n, (name, run_s) in enumerate(ends.items(), start=1)]
    picture = view(*busy, nodes=nodes)
    for run_s, where in ((HOUR_S, "a"), (5 * HOUR_S, "a"), (40 * HOUR_S, "a")):
        assert decide(picture, predicted(10, 2, run_s)).starts[0].node == where
    fuller = view(*busy, running(3, (4, 5), 4 * HOUR_S, on="b"), nodes=nodes)
    assert decide(fuller, predicted(10, 2, HOUR_S)).starts[0].node == "b", "both are in use for longer; b is fuller"
    assert decide(picture, waiting(10, 2)).starts[0].node == "a", "without a prediction the fullest, the first"


def test_an_ordinary_head_is_passed_where_four_times_the_prediction_ends_in_time():
    picture = view(thought(running(1, range(6)), 2 * HOUR_S))
    head = predicted(10, 8, 0.2 * HOUR_S, waited_s=HOUR_S)
    for run_s, passes in ((0.45 * HOUR_S, True), (0.55 * HOUR_S, False)):
        decided = decide(picture, head, predicted(11, 2, run_s))
        assert (started(decided), decided.promises) == ([11] if passes else [], ())
        assert decided.reservation.job_id == 10
    assert started(decide(picture, head, predicted(11, 2, 0.45 * HOUR_S), policy=replace(SHORTEST, safety=None))) == []


def test_a_job_past_its_prediction_is_thought_to_last_as_long_again():
    picture = view(thought(running(1, range(8)), HOUR_S, since_s=3 * HOUR_S))
    assert decide(picture, predicted(10, 1, HOUR_S)).reservation.expected_at == NOW + 3 * HOUR_S


def test_a_promise_stays_on_its_gpus_unless_others_are_free_much_sooner():
    nodes = [node("a"), node("b")]
    first = thought(running(1, range(8), on="a"), 10 * HOUR_S)
    second = thought(running(2, range(8), on="b"), 20 * HOUR_S)
    overdue = predicted(10, 8, HOUR_S, waited_s=45 * HOUR_S)
    promised = decide(view(first, second, nodes=nodes), overdue).sticky
    assert promised[0].node == "a"
    kept = Standing(promised, A_DAY.fifo_wait_s)
    for rest_s, where in ((5 * HOUR_S, "a"), (2 * HOUR_S, "b")):
        ends = replace(second, predicted_s=rest_s)
        assert decide(view(first, ends, nodes=nodes), overdue, standing=kept).sticky[0].node == where


def test_for_one_overdue_job_something_is_kept_the_first_that_came_and_it_stays_first():
    jobs = [predicted(number, 8, HOUR_S, waited_s=46 * HOUR_S) for number in (12, 13, 11)]
    nodes = [node(name) for name in ("a", "b", "c")]
    busy = [thought(running(n, range(8), on=name), HOUR_S) for n, name in enumerate("abc", start=1)]
    decided = decide(view(*busy, nodes=nodes), *jobs)
    assert [kept.job_id for kept in decided.reservations] == [11]
    assert len(decided.reservations) == MOST_STICKY
    later = decide(
        view(*busy, nodes=nodes), *jobs, predicted(3, 8, HOUR_S, waited_s=50 * HOUR_S),
        standing=Standing(decided.sticky, A_DAY.fifo_wait_s),
    )  # fmt: skip
    assert [kept.job_id for kept in later.reservations] == [11]


def test_a_job_of_higher_priority_takes_promised_gpus():
    overdue = predicted(10, 8, HOUR_S, waited_s=45 * HOUR_S)
    busy = thought(running(1, range(4)), HOUR_S)
    promised = Standing(decide(view(busy), overdue).sticky, A_DAY.fifo_wait_s)
    above = predicted(11, 4, 99 * HOUR_S, priority=60)
    assert started(decide(view(busy), overdue, above, standing=promised)) == [11]
    assert started(decide(view(busy), overdue, replace(above, priority=50), standing=promised)) == []


def test_nobody_is_overdue_within_the_hour_or_while_nothing_is_known_of_the_past():
    picture = view(thought(running(1, range(6)), 2 * HOUR_S))
    job = predicted(10, 8, HOUR_S, waited_s=0.9 * HOUR_S)
    short = view(thought(running(1, range(6)), 60.0))
    assert decide(short, job, standing=Standing(fifo_wait_s=0.0)).sticky == ()
    assert decide(short, replace(job, queued_at=NOW - 1.1 * HOUR_S), standing=Standing(fifo_wait_s=0.0)).sticky
    assert decide(picture, replace(job, queued_at=0.0), standing=Standing()).sticky == ()


def test_a_limit_on_how_much_runs_is_kept_within_a_plan_and_across_running_jobs():
    picture = replace(view(replace(running(1, (0,)), caps=(("user", "ada"),))), caps={("user", "ada"): 4})
    jobs = [predicted(number, 2, HOUR_S, caps=(("user", "ada"),)) for number in (10, 11)]
    decided = decide(picture, *jobs, predicted(12, 2, 9 * HOUR_S))
    assert started(decided) == [10, 12]
    assert decided.reservations == (), "nothing is kept for a job that its own limit keeps waiting"


def test_of_an_array_jobs_are_counted():
    key = ("array", "7")
    picture = replace(view(replace(running(7, (0, 1)), caps=(key,))), caps={key: 2})
    jobs = [predicted(number, 2, HOUR_S, caps=(key,)) for number in (8, 9)]
    assert started(decide(picture, *jobs)) == [8]


def test_a_node_that_takes_weeks_to_empty_makes_nobody_overdue_before_half_of_the_patience():
    picture = view(thought(running(1, range(6)), 1000 * HOUR_S))
    assert decide(picture, predicted(10, 4, HOUR_S, waited_s=10.7 * HOUR_S)).sticky == ()
    assert decide(picture, predicted(10, 4, HOUR_S, waited_s=10.9 * HOUR_S)).sticky != ()
