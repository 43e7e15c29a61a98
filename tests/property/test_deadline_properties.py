"""Where deadlines decide: the walk is in order, and no deadline that can be met waits for one that cannot."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, deadlines, due_at, jobs, policies, views

from dcdaemon.scheduler.ahead import Key
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.order import OVERDUE, Ranking, is_in_time, lasting_s, length_class
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.space import spaces_of

DEADLINE = Policy(order=Order.DEADLINE, queues={"night": QueueRule(Order.DEADLINE), "half": QueueRule(Order.FIFO)})
clustered = st.lists(st.tuples(deadlines, st.sampled_from([0.0, 60.0, 9e4])), min_size=40, max_size=40)


def alike(waiting, drawn):
    """Many jobs that differ in age and deadline only, beside the others; as a node has them, the oldest came first."""
    many = [
        replace(waiting[0], id=1000 + place, deadline_at=due_at(within_s), queued_at=NOW - waited_s)
        for place, (within_s, waited_s) in enumerate(drawn)
    ]
    in_line = sorted([*waiting, *many], key=lambda job: (job.queued_at, job.id))
    return [replace(job, sequence=place) for place, job in enumerate(in_line)]


@settings(max_examples=300, deadline=None)
@given(views(), jobs(), policies() | st.just(DEADLINE), clustered)
def test_a_walk_meets_every_ready_job_once_and_in_order(view, waiting, policy, drawn):
    everyone = alike(waiting, drawn)
    ranking = Ranking(policy, NOW, view.standing, Tally.of(view), spaces_of(view))
    queue = QueueIndex(everyone)
    met = [job for job, *_ in queue.walk(ranking)]
    assert [job.id for job in met] == [job.id for job in sorted(met, key=lambda job: Key.of(job, ranking))]
    assert {job.id for job in met} == {job.id for job in everyone if is_ready(job)}


@settings(max_examples=200, deadline=None)
@given(views(), jobs(ready=True), clustered)
def test_no_deadline_that_can_be_met_waits_for_one_that_cannot(view, waiting, drawn):
    ranking = Ranking(DEADLINE, NOW, view.standing, Tally.of(view), spaces_of(view))
    ranks = {job.id: (job, ranking.rank_of(job)) for job in alike(waiting, drawn) if job.queue != "half"}
    plain = [(job, rank) for job, rank in ranks.values() if rank.line != OVERDUE]
    for job, rank in plain:
        for other, theirs in plain:
            if rank[:5] != theirs[:5] or not in_time(job):
                continue
            assert rank <= theirs or (in_time(other) and other.deadline_at < job.deadline_at)


@settings(max_examples=200, deadline=None)
@given(views(), jobs(), policies(), clustered)
def test_under_other_orders_deadlines_change_nothing(view, waiting, policy, drawn):
    rules = {
        name: replace(rule, order=None if rule.order is Order.DEADLINE else rule.order)
        for name, rule in policy.queues.items()
    }
    order = Order.SHORTEST if policy.order is Order.DEADLINE else policy.order
    policy, everyone = replace(policy, order=order, queues=rules), alike(waiting, drawn)
    without = [replace(job, deadline_at=None) for job in everyone]
    assert plan(view, QueueIndex(everyone), policy, NOW) == plan(view, QueueIndex(without), policy, NOW)


def in_time(job):
    return is_in_time(job, length_class(lasting_s(job)), NOW)
