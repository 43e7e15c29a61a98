"""The order by deadline: who goes first, who has to stand back, and how `dcd why` says it."""

from dataclasses import replace

import pytest
from scenes import NOW, running, view, waiting

from dcdaemon.core.reasons import Reason
from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.queues import Queue, Sharing
from dcdaemon.scheduler.start_time_work import Work

DEADLINE = Policy(order=Order.DEADLINE)
HOUR, ALL = 3600.0, tuple(range(8))
#: Eight GPUs in use for an hour more.
FULL = view(replace(running(1, ALL), started_at=NOW - HOUR, predicted_s=2 * HOUR))


def due(job_id, within_s=None, *, gpus=8, run_s=HOUR, waited_s=0.0, **rest) -> QueuedJob:
    deadline_at = None if within_s is None else NOW + within_s
    return waiting(job_id, gpus, predicted_s=run_s, queued_at=NOW - waited_s, deadline_at=deadline_at, **rest)


def order(*jobs: QueuedJob, policy: Policy = DEADLINE, now: float = NOW, past: Standing | None = None) -> list[int]:
    return [job.id for job, *_ in QueueIndex(jobs).walk(Ranking(policy, now, past or Standing()))]


def why(*jobs: QueuedJob) -> Reason:
    return explain(FULL, QueueIndex(jobs), DEADLINE, NOW, jobs[-1].id)


def test_the_earliest_deadline_goes_first_and_those_without_one_by_age_behind():
    jobs = [due(2), due(3, 9 * HOUR), due(4, 5 * HOUR), due(5), due(6, 7 * HOUR, run_s=60.0)]
    assert order(*jobs) == [4, 6, 3, 2, 5]


def test_priority_wins():
    assert order(due(2, 2 * HOUR), due(3, 9 * HOUR, priority=60), due(4, priority=60)) == [3, 4, 2]


def test_a_job_that_cannot_make_it_any_more_goes_behind_those_that_can_and_before_those_that_are_never_due():
    jobs = [due(2), due(3, HOUR / 2), due(4, 5 * HOUR), due(5, -HOUR), due(6, 2 * HOUR)]
    assert order(*jobs) == [6, 4, 5, 3, 2]


def test_it_becomes_too_late_as_time_goes_by():
    jobs = due(2, 2 * HOUR), due(3, 5 * HOUR)
    assert order(*jobs, now=NOW + 0.9 * HOUR) == [2, 3]
    assert order(*jobs, now=NOW + 1.2 * HOUR) == [3, 2]


def test_a_short_job_is_in_time_until_its_deadline():
    jobs = due(2, 60.0, run_s=200.0), due(3, 2 * HOUR)
    assert order(*jobs) == [2, 3]
    assert order(*jobs, now=NOW + 61.0) == [3, 2]


def test_who_has_waited_longer_than_anyone_should_goes_before_all_deadlines():
    past = Standing(fifo_wait_s=2 * HOUR)
    jobs = [due(2, waited_s=5 * HOUR), due(3, 4 * HOUR), due(4, -HOUR, waited_s=5 * HOUR), due(5, 3 * HOUR)]
    assert order(*jobs, past=past) == [2, 4, 5, 3]


def test_in_other_orders_a_deadline_only_informs():
    jobs = [due(2), due(3, 9 * HOUR), due(4, 5 * HOUR)]
    for chosen in (Order.FIFO, Order.SHORTEST, Order.FAIR_SHARE):
        assert order(*jobs, policy=Policy(order=chosen)) == [2, 3, 4]


def test_one_queue_may_go_by_deadline_beside_others():
    policy = Policy(queues={"urgent": QueueRule(Order.DEADLINE, tier=1)})
    jobs = [due(2, HOUR), due(3, 9 * HOUR, queue="urgent"), due(4, 5 * HOUR, queue="urgent"), due(5)]
    assert order(*jobs, policy=policy) == [4, 3, 2, 5]


def test_a_late_job_does_not_hold_up_one_that_can_make_it():
    starts = plan(view(), QueueIndex([due(2, HOUR / 2), due(3, 2 * HOUR)]), DEADLINE, NOW).starts
    assert [start.job_id for start in starts] == [3]


def test_only_where_deadlines_may_decide_do_they_part_groups():
    jobs = [due(number, number * HOUR) for number in range(2, 9)]
    assert QueueIndex(jobs).has_deadlines
    assert not QueueIndex(jobs, by_deadline=False).has_deadlines
    assert not QueueIndex([due(2)]).has_deadlines
    assert not Sharing({"a": Queue("a", order=Order.FIFO)}, "a").by_deadline
    assert Sharing({"a": Queue("a", order=Order.DEADLINE)}, "a").by_deadline
    assert not Sharing({"a": Queue("a", order=Order.DEADLINE)}, "a").by_owner


def test_the_work_before_a_job_is_that_of_earlier_deadlines():
    work = Work(view().nodes, DEADLINE)
    for job in (due(2), due(3, 9 * HOUR), due(4, 5 * HOUR)):
        work.queued(job, HOUR)
    assert [work.before(due(9, within_s), NOW).jobs for within_s in (HOUR, 6 * HOUR, 20 * HOUR, None)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("other", "mine", "said"),
    [
        (due(7, 3 * HOUR), due(9, 8 * HOUR), "Job 7, which is due in 3h, goes first."),
        (due(7, 3 * HOUR), due(9), "Job 7, which is due in 3h, goes first."),
        (due(7, -HOUR), due(9), "Job 7, which is overdue, goes first."),
        (due(7, 3 * HOUR), due(9, HOUR / 2), "Job 7, which can still be done by its deadline, goes first."),
    ],
)
def test_who_goes_first_is_named_with_when_it_is_due(other, mine, said):
    assert said in why(other, mine).sentence


def test_several_are_counted_and_who_came_earlier_is_plain():
    assert "2 jobs that are due earlier go first." in why(due(6, 2 * HOUR), due(7, 3 * HOUR), due(9, 8 * HOUR)).sentence
    assert " go" not in why(due(7), due(9)).sentence
    assert " go" not in why(due(7, 3 * HOUR), due(9, 3 * HOUR)).sentence


def test_it_is_told_when_the_job_is_due_and_by_how_much_the_forecast_lies_beyond():
    assert why(due(9, 5 * HOUR)).sentence.endswith("It is due in 5h.")
    late = why(due(9, 1.5 * HOUR))
    assert late.sentence.endswith("It is due in 1h30m; by this forecast it is done 30m too late.")
    assert (late.facts["due_in_s"], late.facts["lasts_s"]) == (1.5 * HOUR, HOUR)
    assert why(due(9, -60.0)).sentence.endswith("It was due 1m ago.")
    assert "due" not in why(due(9)).sentence


def test_where_only_limits_tell_it_is_said_so_and_without_any_what_is_sure():
    by_limits = explain(view(running(1, ALL, HOUR)), QueueIndex([due(9, HOUR)]), DEADLINE, NOW, 9)
    assert by_limits.sentence.endswith("if every job ahead runs to its limit, it is done 1h too late.")
    unknown = explain(view(running(1, ALL)), QueueIndex([due(9, HOUR / 2)]), DEADLINE, NOW, 9)
    assert unknown.sentence.endswith("It is due in 30m, and would be late even if it started now.")
