"""Jobs wider than any node, where the policy lets them take several whole ones."""

import pytest
from scenes import NOW, drained, node, running, view, waiting

from dcdaemon.core.plan import Part, Plan, Reservation, Start
from dcdaemon.core.view import ClusterView, RunningJob
from dcdaemon.scheduler.cycle import pass_on, plan
from dcdaemon.scheduler.gang import could_hold, gang_of
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of

GANGS = Policy(gangs=True)
ALL = tuple(range(8))


def nodes(count, **each):
    return [node(f"n{number}", **each) for number in range(1, count + 1)]


def decide(picture, *jobs, policy=GANGS) -> Plan:
    return plan(picture, QueueIndex(jobs), policy, NOW)


def started(decided) -> list[int]:
    return [start.job_id for start in decided.starts]


def test_without_the_policy_a_job_wider_than_any_node_never_starts_and_holds_nobody_up():
    decided = decide(view(nodes=nodes(4)), waiting(1, 16), waiting(2, 1), policy=Policy())
    assert decided == Plan((Start(2, "n1", (0,)),), (), NOW)


def test_a_gang_takes_the_first_whole_nodes():
    decided = decide(view(running(9, [3], on="n2"), nodes=nodes(4)), waiting(1, 16))
    assert decided.starts == (Start(1, "n1", ALL, also=(Part("n3", ALL),)),)


def test_a_gang_that_does_not_fill_its_nodes_takes_them_whole():
    decided = decide(view(nodes=nodes(3)), waiting(1, 12), waiting(2, 8), waiting(3, 1))
    assert decided.starts == (Start(1, "n1", ALL, also=(Part("n2", ALL),)), Start(2, "n3", ALL))
    assert decided.reservation.job_id == 3


def test_a_gang_takes_the_fewest_nodes_that_hold_it_between_them():
    spaces = spaces_of(view(nodes=[node("a", gpus=8), node("b", gpus=4), node("c", gpus=4), node("d", gpus=4)]))
    assert gang_of(Shape(12, 0, 0, None), spaces, GANGS).nodes == 3
    assert gang_of(Shape(16, 0, 0, None), spaces, GANGS).nodes == 4
    assert gang_of(Shape(17, 0, 0, None), spaces, GANGS) is None
    assert gang_of(Shape(8, 0, 0, None), spaces, GANGS) is None, "one node will do"
    assert could_hold(Shape(8, 0, 0, None), spaces, GANGS)
    assert not could_hold(Shape(17, 0, 0, None), spaces, GANGS)
    assert not could_hold(Shape(12, 0, 0, None), spaces, Policy())


def test_a_gangs_cpus_and_memory_are_split_evenly_over_its_nodes():
    asked = waiting(1, 16, cpus=63, mem_gib=301)
    share = gang_of(Shape.of(asked), spaces_of(view(nodes=nodes(2))), GANGS).share
    assert (share.cpus, share.mem_bytes) == (32, 301 * 1024**3 // 2)
    picture = view(nodes=nodes(2, cpus=64))
    assert started(decide(picture, asked, waiting(2, 0, cpus=33))) == [1]
    assert started(decide(picture, asked, waiting(2, 0, cpus=32), waiting(3, 0, cpus=32))) == [1, 2, 3]


def test_a_node_with_a_blocked_gpu_is_no_whole_node():
    machines = [node("n1", blocked=drained(5)), *nodes(4)[1:]]
    assert decide(view(nodes=machines), waiting(1, 16)).starts[0].node == "n2"
    only = decide(view(nodes=machines[:2]), waiting(1, 16), waiting(2, 1))
    assert only == Plan((Start(2, "n1", (0,)),), (), NOW), "who waits for a repair holds nobody up"


def test_the_gang_at_the_head_is_promised_the_nodes_that_are_free_first_and_starts_with_the_last_of_them():
    busy = [running(11, ALL, 500, on="n1"), running(12, [0], 300, on="n2"), running(13, [0], 900, on="n3")]
    decided = decide(view(*busy, nodes=nodes(3)), waiting(1, 16))
    assert decided.reservation == Reservation(1, "n2", ALL, NOW + 500, also=(Part("n1", ALL),))


def test_a_whole_free_node_is_kept_for_a_gang_that_waits_for_another():
    decided = decide(view(running(11, ALL, 500, on="n1"), nodes=nodes(2)), waiting(1, 16), waiting(2, 8))
    assert decided.reservation == Reservation(1, "n2", ALL, NOW + 500, also=(Part("n1", ALL),))
    assert decided.starts == ()


@pytest.mark.parametrize(("limit_s", "starts"), [(500, True), (501, False), (None, False)])
def test_a_later_job_uses_the_gangs_nodes_only_when_it_is_over_in_time(limit_s, starts):
    picture = view(running(11, ALL, 500, on="n1"), running(12, [0], 300, on="n2"), nodes=nodes(2))
    decided = decide(picture, waiting(1, 16), waiting(2, 4, limit_s))
    assert (started(decided) == [2]) is starts


def test_nodes_that_the_gang_does_not_count_on_are_open_to_all():
    picture = view(running(11, ALL, 500, on="n1"), running(12, [0], on="n3"), nodes=nodes(3))
    decided = decide(picture, waiting(1, 16), waiting(2, 4), waiting(3, 4))
    assert decided.starts == (Start(2, "n3", (1, 2, 3, 4), backfilled=True),)


def test_a_gang_may_pass_a_gang():
    picture = view(running(11, ALL, 500, on="n1"), nodes=nodes(4))
    head, short, long = waiting(1, 32), waiting(2, 24, 500), waiting(3, 24, 501)
    assert started(decide(picture, head, short)) == [2]
    assert started(decide(picture, head, long)) == []


def test_a_gang_that_passes_prefers_nodes_the_head_does_not_count_on():
    busy = [running(11, ALL, 100, on="n1")]
    decided = decide(view(*busy, nodes=nodes(6)), waiting(1, 48), waiting(2, 16, 50))
    assert decided.starts == (Start(2, "n2", ALL, backfilled=True, also=(Part("n3", ALL),)),)
    # Two nodes are enough for this head: n1, because its end is promised, and n2.
    decided = decide(view(running(11, [0], 100, on="n1"), running(12, [0], on="n4"), nodes=nodes(4)),
                     waiting(1, 24), waiting(2, 1))  # fmt: skip
    assert decided.starts == (Start(2, "n4", (1,), backfilled=True),)


def test_behind_endless_jobs_the_nodes_that_lack_least_are_kept_for_the_gang():
    busy = [running(11, [0, 1], on="n1"), running(12, [0], on="n2"), running(13, [0, 1, 2], on="n3")]
    decided = decide(view(*busy, nodes=nodes(3)), waiting(1, 16), waiting(2, 1, 10), waiting(3, 5, 10))
    assert decided.reservation == Reservation(1, "n2", ALL[1:], None, also=(Part("n1", ALL[2:]),))
    assert decided.starts == (Start(2, "n3", (3,), backfilled=True),)


def test_spaces_that_are_kept_from_pass_to_pass_give_the_same_plans_as_a_fresh_view():
    machines = nodes(3)
    kept = spaces_of(view(nodes=machines))
    queue = QueueIndex(
        [waiting(1, 16, 100), waiting(2, 6, 300), waiting(3, 4, 50), waiting(4, 24, 10), waiting(5, 1, 5)]
    )
    first = pass_on(kept, queue, GANGS, NOW).plan
    assert first == plan(view(nodes=machines), queue, GANGS, NOW)
    for start in first.starts:
        queue.remove(start.job_id)
    for space in kept[:2]:
        space.give_back(1)
    left = [RunningJob(2, "n3", (0, 1, 2, 3, 4, 5), 1, 0, NOW + 300), RunningJob(5, "n3", (6,), 1, 0, NOW + 5)]
    assert started(first) == [1, 2, 5]
    assert pass_on(kept, queue, GANGS, NOW + 1).plan == plan(
        ClusterView(tuple(machines), tuple(left)), queue, GANGS, NOW + 1
    )
