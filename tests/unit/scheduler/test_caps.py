"""What runs under each limit: what caps refuse, what quotas only put last, and what is lent."""

from dataclasses import replace

from scenes import GIB, NOW, node, running, waiting

from dcdaemon.core.gpu_time import weight
from dcdaemon.core.plan import Reservation
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, Standing
from dcdaemon.scheduler.caps import Cap, Over, Tally, gpu_size, lent
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex

USER, JOBS, QUOTA = (Cap.USER, "ada"), (Cap.QUEUE_JOBS, "main/ada"), (Cap.QUOTA, "user/ada")


def view(*jobs, caps, gpus=8) -> ClusterView:
    return ClusterView((node(gpus=gpus),), tuple(jobs), caps)


def counted(job, *caps, **rest):
    return replace(job, caps=caps, **rest)


def started(picture: ClusterView, *jobs, policy: Policy | None = None) -> list[int]:
    return [start.job_id for start in plan(picture, QueueIndex(jobs), policy or Policy(), NOW).starts]


def test_a_cap_refuses_with_what_is_used_and_what_is_allowed():
    tally = Tally.of(view(counted(running(1, (0, 1)), USER), caps={USER: 3}))
    assert tally.refusing(counted(waiting(2, 2), USER)) == Over(USER, 2.0, 3)
    assert tally.allows(counted(waiting(2, 1), USER))
    assert tally.allows(waiting(2, 8)), "who does not count against it is not asked"


def test_a_job_without_gpus_breaks_no_limit_on_gpus_even_when_it_was_lowered():
    tally = Tally.of(view(counted(running(1, (0, 1)), USER), caps={USER: 1}))
    assert tally.allows(counted(waiting(2, 0), USER))


def test_what_is_taken_counts_at_once():
    tally = Tally({USER: 2, JOBS: 1})
    tally.take(counted(waiting(1, 1), USER, JOBS))
    assert (tally.used(USER), tally.used(JOBS)) == (1.0, 1.0)
    assert tally.refusing(counted(waiting(2, 1), USER, JOBS)) == Over(JOBS, 1.0, 1)


def test_a_gang_over_several_nodes_is_one_job_and_all_its_gpus():
    parts = [counted(running(1, (0, 1), on=name), USER, JOBS) for name in ("n1", "n2")]
    tally = Tally.of(view(*parts, caps={USER: 9, JOBS: 9}))
    assert (tally.used(USER), tally.used(JOBS)) == (4.0, 1.0)


def test_a_share_of_a_gpu_counts_as_the_part_of_its_memory():
    slots = (GpuSlot(0, 80 * GIB), GpuSlot(1, None))
    share = counted(running(1, (0,)), USER, gpu_mem_bytes=20 * GIB)
    picture = ClusterView((NodeView("n1", 8, 0, slots),), (share,), {USER: 1})
    tally = Tally.of(picture)
    assert tally.used(USER) == 0.25
    for job_id in (2, 3, 4):
        wish = counted(waiting(job_id, 1), USER, gpu_mem_bytes=20 * GIB)
        assert tally.allows(wish)
        tally.take(wish)
    assert not tally.allows(counted(waiting(5, 1), USER, gpu_mem_bytes=GIB))
    assert gpu_size(picture) == 80 * GIB
    assert (weight(1, 20 * GIB, None), weight(1, 90 * GIB, 80 * GIB), weight(2, None, 80 * GIB)) == (1.0, 1.0, 2.0)


def test_a_quota_is_no_cap():
    tally = Tally.of(view(counted(running(1, (0, 1)), QUOTA), caps={QUOTA: 2}))
    job = counted(waiting(2, 1), QUOTA)
    assert tally.allows(job)
    assert tally.beyond(job) == Over(QUOTA, 2.0, 2)
    assert Tally({QUOTA: 1}).beyond(job) is None


def test_a_plan_never_breaks_a_cap():
    jobs = [counted(waiting(number, 1), USER) for number in range(1, 6)]
    assert started(view(caps={USER: 3}), *jobs, waiting(9, 1)) == [1, 2, 3, 9]


def test_beyond_its_quota_a_job_gets_what_nobody_within_waits_for():
    mine = [counted(waiting(number, 1), QUOTA) for number in (1, 2, 3)]
    bob = waiting(4, 1)
    assert started(view(caps={QUOTA: 1}, gpus=2), *mine, bob) == [1, 4], "the quota first, then who is within"
    assert started(view(caps={QUOTA: 1}, gpus=4), *mine, bob) == [1, 4, 2, 3], "and what is left is lent"


def test_priority_goes_before_quotas():
    mine = counted(waiting(1, 1, priority=50), QUOTA)
    assert started(view(caps={QUOTA: 0}, gpus=1), mine, waiting(2, 1, priority=10)) == [1]


def test_nothing_is_promised_beyond_a_quota():
    policy = Policy(order=Order.SHORTEST)
    old = counted(waiting(1, 8, queued_at=0.0), QUOTA)
    busy = view(running(9, range(8), 600), caps={QUOTA: 0})
    standing = Standing((Reservation(1, "n1", tuple(range(8)), NOW, promised=True),), fifo_wait_s=10.0)
    made = plan(replace(busy, standing=standing), QueueIndex([old, waiting(2, 1, queued_at=NOW)]), policy, NOW)
    assert made.promises == ()
    within = plan(replace(busy, caps={QUOTA: 8}, standing=standing), QueueIndex([old]), policy, NOW)
    assert [kept.job_id for kept in within.promises] == [1]


def test_what_is_left_of_a_cap_is_kept_for_an_overdue_job_that_needs_more_of_it():
    busy = counted(running(9, (0,), 600), USER)
    wide, narrow = counted(waiting(1, 4), USER, queued_at=0.0), counted(waiting(2, 1), USER, queued_at=NOW)
    picture = replace(view(busy, caps={USER: 4}), standing=Standing(fifo_wait_s=3600.0))
    assert started(picture, wide, narrow, waiting(3, 1), policy=Policy(order=Order.SHORTEST)) == [3]
    assert started(picture, wide, narrow, policy=Policy(order=Order.FIFO)) == []
    young = replace(wide, queued_at=NOW - 60)
    assert started(picture, young, narrow, policy=Policy(order=Order.SHORTEST)) == [2]


def test_a_job_that_its_cap_could_never_allow_keeps_nothing_from_others():
    wide, narrow = counted(waiting(1, 4), USER, queued_at=0.0), counted(waiting(2, 1), USER)
    assert started(view(caps={USER: 3}), wide, narrow, policy=Policy(order=Order.FIFO)) == [2]


def test_the_last_to_start_beyond_a_quota_are_lent_until_others_end():
    jobs = [
        counted(running(number, gpus), QUOTA, started_at=at)
        for number, gpus, at in [(1, (0, 1, 2), 10.0), (2, (3, 4, 5), 20.0), (3, (6,), None)]
    ]
    assert lent(view(*jobs, caps={QUOTA: 4})) == {2, 3}
    assert lent(view(*jobs[1:], caps={QUOTA: 4})) == frozenset()
    assert lent(view(*jobs, caps={USER: 4})) == frozenset()


def test_a_queues_jobs_get_its_gpus_only():
    policy = Policy(queues={"a": QueueRule(gpus=frozenset({2, 3})), "b": QueueRule()})
    jobs = [waiting(1, 1, queue="a"), waiting(2, 2, queue="a"), waiting(3, 2, queue="b"), waiting(4, 1, queue="a")]
    made = plan(ClusterView((node(gpus=4),)), QueueIndex(jobs), policy, NOW)
    assert [(start.job_id, start.gpus) for start in made.starts] == [(1, (2,)), (3, (0, 1))]
    assert (made.reservations[0].job_id, made.reservations[0].gpus) == (2, (3,)), "the other is held by an endless job"


def test_a_reservation_counts_on_the_queues_own_gpus_only():
    policy = Policy(queues={"a": QueueRule(gpus=frozenset({2, 3}))})
    busy = [running(8, (0, 1), 60), running(9, (2, 3), 600)]
    made = plan(ClusterView((node(gpus=4),), tuple(busy)), QueueIndex([waiting(1, 2, queue="a")]), policy, NOW)
    assert (made.reservations[0].gpus, made.reservations[0].at) == ((2, 3), NOW + 600)


def test_a_job_wider_than_its_queue_is_passed_over():
    policy = Policy(queues={"a": QueueRule(gpus=frozenset({0}))})
    picture = ClusterView((node(gpus=4),))
    assert started(picture, waiting(1, 2, queue="a"), waiting(2, 1, queue="a"), policy=policy) == [2]


def test_a_higher_tier_goes_first_among_jobs_of_one_priority():
    policy = Policy(queues={"low": QueueRule(tier=-1), "high": QueueRule(tier=1)})
    jobs = [waiting(1, 1, queue="low"), waiting(2, 1), waiting(3, 1, queue="high"), waiting(4, 1, priority=60)]
    assert started(ClusterView((node(gpus=4),)), *jobs, policy=policy) == [4, 3, 2, 1]
