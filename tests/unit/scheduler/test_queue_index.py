import pytest
from scenes import NOW, waiting

from dcdaemon.core.plan import Reservation
from dcdaemon.core.view import Standing
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex

RANKING = Ranking(Policy(), NOW, Standing())


def walked(queue) -> list[int]:
    return [job.id for job, *_ in queue.walk(RANKING)]


def test_a_walk_goes_by_priority_then_first_in_first_out_across_shapes():
    queue = QueueIndex([waiting(4, 1), waiting(3, 2), waiting(2, 1), waiting(9, 1, priority=80)])
    assert walked(queue) == [9, 2, 3, 4]
    assert [job.id for job in queue.ordered()] == [9, 2, 3, 4]


def test_a_walk_passes_over_the_rest_of_a_group_at_once():
    limits = [6000, 9000, None, 6000, 3000, None]
    queue = QueueIndex([waiting(number, 1, limit_s) for number, limit_s in enumerate(limits, start=1)])
    seen, walk = [], queue.walk(RANKING)
    for job, *_ in walk:
        seen.append(job.id)
        if job.id in {1, 3}:
            walk.skip_group()
    assert seen == [1, 2, 3, 5], "1 and 4 share a limit, 3 and 6 have none"


def test_a_walk_passes_over_those_of_a_group_that_last_no_shorter():
    limits = [6100, 6100, 6200, 6000, 6100, 5900]
    jobs = [waiting(number, 1, limit_s, predicted_s=600.0) for number, limit_s in enumerate(limits, start=1)]
    queue = QueueIndex([*jobs, waiting(7, 1, 6100, predicted_s=None)])
    seen, walk = [], queue.walk(RANKING)
    for job, *_ in walk:
        seen.append(job.id)
        walk.skip_alike()
    assert seen == [1, 4, 6, 7], "the last is not of their group: nothing is predicted of it"


def test_jobs_of_one_class_of_length_take_turns_by_age_and_shorter_classes_go_first():
    lengths = [7200.0, 3600.0, 7300.0, 7300.0, 600.0]
    jobs = [waiting(number, 1, predicted_s=run_s, queued_at=NOW) for number, run_s in enumerate(lengths, start=1)]
    walk = QueueIndex(jobs).walk(Ranking(Policy(order=Order.SHORTEST), NOW, Standing()))
    assert [job.id for job, *_ in walk] == [5, 2, 1, 3, 4]


def test_a_promised_job_goes_first_among_its_priority_wherever_it_is_in_its_group():
    queue = QueueIndex([waiting(1, 1), waiting(2, 1), waiting(3, 1), waiting(4, 1, priority=80)])
    promised = Standing(kept=(Reservation(3, "n1", (0,), None, promised=True, sticky=True),))
    assert [job.id for job, *_ in queue.walk(Ranking(Policy(), NOW, promised))] == [4, 3, 1, 2]


def test_the_order_whose_oldest_job_waits_longest_goes_first_where_queues_of_one_tier_differ():
    policy = Policy(order=Order.SHORTEST, queues={"batch": QueueRule(Order.FIFO), "urgent": QueueRule(tier=1)})
    jobs = [
        waiting(1, 1, queue="batch"), waiting(2, 1, predicted_s=9000.0), waiting(3, 1, predicted_s=600.0),
        waiting(4, 1, queue="batch"), waiting(5, 1, queue="urgent"),
    ]  # fmt: skip
    walk = QueueIndex(jobs).walk(Ranking(policy, NOW, Standing()))
    assert [job.id for job, *_ in walk] == [5, 1, 4, 3, 2]


def test_held_and_dependent_jobs_are_not_walked_but_known():
    queue = QueueIndex(
        [
            waiting(1, 1, held=True),
            waiting(2, 1, waits_for=(1,)),
            waiting(3, 1, failed_dependency=9),
            waiting(4, 1),
        ]
    )
    assert walked(queue) == [4]
    assert len(queue) == 4
    assert 2 in queue
    assert [job.id for job in queue.ordered()] == [1, 2, 3, 4]


def test_a_copy_goes_its_own_way():
    queue = QueueIndex([waiting(1, 1), waiting(2, 1)])
    twin = queue.copy()
    twin.remove(1)
    twin.add(waiting(3, 1))
    assert (walked(queue), walked(twin), walked(queue.without([2, 7]))) == ([1, 2], [2, 3], [1])


def test_a_job_waits_once_and_leaves_once():
    queue = QueueIndex([waiting(1, 1)])
    with pytest.raises(ValueError, match="job 1 waits already"):
        queue.add(waiting(1, 2))
    queue.remove(1)
    assert (len(queue), queue.get(1), walked(queue)) == (0, None, [])
    with pytest.raises(KeyError):
        queue.remove(1)
