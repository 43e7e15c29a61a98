import pytest
from scenes import waiting

from dcdaemon.scheduler.queue import QueueIndex


def walked(queue) -> list[int]:
    walk, ids = queue.walk(), []
    while walk.job is not None:
        ids.append(walk.job.id)
        walk.next_job()
    return ids


def test_a_walk_goes_by_priority_then_first_in_first_out_across_shapes():
    queue = QueueIndex([waiting(4, 1), waiting(3, 2), waiting(2, 1), waiting(9, 1, priority=80)])
    assert walked(queue) == [9, 2, 3, 4]
    assert [job.id for job in queue.ordered()] == [9, 2, 3, 4]


def test_a_walk_passes_over_the_same_demand_with_the_same_or_a_longer_limit_at_once():
    limits = [60, 90, None, 60, 30, 45]
    jobs = [waiting(number, 1, limit_s) for number, limit_s in enumerate(limits, start=1)]
    queue = QueueIndex([*jobs, waiting(7, 2, 60), waiting(8, 1, 60, priority=10)])
    walk = queue.walk()
    walk.next_shorter(60)
    assert walk.job == queue.get(5)
    walk.next_shorter(30)
    assert walk.job == queue.get(7)
    walk.next_shorter(0)
    assert walk.job == queue.get(8)


def test_a_walk_goes_on_in_a_group_of_which_a_job_was_taken():
    queue = QueueIndex([waiting(1, 1, 60), waiting(2, 1, 30), waiting(3, 1, 60), waiting(4, 1, 30)])
    walk = queue.walk()
    walk.next_job()
    walk.next_shorter(30)
    assert walk.job == queue.get(3)


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


def test_those_ahead_are_the_ready_ones_before_a_job():
    queue = QueueIndex([waiting(1, 1), waiting(2, 1, held=True), waiting(3, 1), waiting(4, 1, priority=80)])
    assert [job.id for job in queue.ahead_of(waiting(3, 1))] == [4, 1]
