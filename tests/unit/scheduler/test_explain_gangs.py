"""Jobs over several whole nodes: why they wait, when they start, and what would start them."""

from scenes import NOW, drained, node, running, view, waiting

from dcdaemon.core.reasons import Reason, ReasonCode, Unblock
from dcdaemon.scheduler.capacity import check_fits
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.policy import Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex

GANGS = Policy(gangs=True)
ALL = range(8)


def nodes(count, **each):
    return [node(f"n{number}", **each) for number in range(1, count + 1)]


def why(picture, *jobs, policy=GANGS) -> Reason:
    return explain(picture, QueueIndex(jobs), policy, NOW, jobs[-1].id)


def test_a_gang_hears_how_many_whole_nodes_it_needs_and_how_many_are_free():
    picture = view(running(1, ALL, 300, on="n1"), running(2, [0], 500, on="n2"), nodes=nodes(3))
    reason = why(picture, waiting(5, 16))
    assert reason.sentence == (
        "Job 5 needs 2 whole nodes (16 GPUs), 1 is free. Job 1 ends in 5m at the latest, then it starts."
    )
    assert (reason.code, short(reason)) == (ReasonCode.GPUS_BUSY, "2 nodes needed, 1 free (<5m)")
    assert reason.expected_start_at == NOW + 300
    assert reason.unblock == Unblock(end_jobs=(2,)), "one GPU is in its way there"


def test_a_gang_behind_a_gang():
    picture = view(running(1, ALL, 300, on="n1"), running(2, ALL, 400, on="n2"), nodes=nodes(2))
    reason = why(picture, waiting(4, 16, 600), waiting(5, 16))
    assert reason.sentence == (
        "Job 5 waits behind job 4: each needs 2 whole nodes (16 GPUs), 0 are free. "
        "If every job runs to its limit, it starts in 16m40s."
    )
    assert reason.unblock.end_jobs == (1, 2)


def test_a_gang_that_would_fit_hears_who_keeps_the_nodes():
    picture = view(running(1, ALL, 300, on="n1"), nodes=nodes(3))
    reason = why(picture, waiting(4, 24, 600), waiting(5, 16))
    assert reason.code is ReasonCode.PRIORITY
    assert "job 4 (priority 50) is ahead: it needs 24 GPUs and starts in 5m at the latest." in reason.sentence
    assert "With a time limit of 5m it could start now." in reason.sentence


def test_a_gang_running_on_several_nodes_ends_once():
    gang = [running(1, ALL, 300, on="n1"), running(1, ALL, 300, on="n2")]
    reason = why(view(*gang, nodes=nodes(2)), waiting(5, 16))
    assert (reason.unblock, reason.facts["ending"]) == (Unblock(end_jobs=(1,)), [1])


def test_cpus_may_be_what_a_gang_lacks():
    picture = view(running(1, [], 300, on="n2", cpus=40), nodes=nodes(2, cpus=64))
    reason = why(picture, waiting(5, 16, cpus=64))
    assert reason.sentence == (
        "Job 5 needs 32 CPUs on each of 2 whole nodes, at most 24 are free (n2). "
        "Job 1 ends in 5m at the latest, then it starts."
    )


def test_blocked_gpus_of_several_nodes_are_named_with_their_nodes():
    broken = [node("n1", gpus=2, blocked=drained(1, "")), node("n2", gpus=2, blocked=drained(1, ""))]
    reason = why(view(nodes=broken), waiting(5, 4))
    assert reason.sentence == "Job 5 needs 2 whole nodes (4 GPUs): GPU 1 of n1 is drained and GPU 1 of n2 is drained."
    assert (reason.code, reason.remedy) == (
        ReasonCode.DRAINED, "It would start now if GPU 1 of n1 and GPU 1 of n2 took work again.",
    )  # fmt: skip


def test_a_gang_that_all_nodes_together_cannot_hold_never_fits():
    reason = why(view(nodes=nodes(3)), waiting(5, 32))
    assert reason.sentence == "Job 5 asks for 32 GPUs, all nodes together have 24."
    spread = why(view(nodes=nodes(2, cpus=8)), waiting(5, 16, cpus=32))
    assert spread.sentence == "Job 5 asks for 32 CPUs, all nodes together have 16."
    uneven = check_fits(waiting(0, 16, mem_gib=64), [node("a", mem_gib=16), node("b", mem_gib=512)], policy=GANGS)
    assert uneven is not None
    assert uneven.sentence == ("This job cannot be spread over these 2 nodes: too few of them hold a share of it.")


def test_a_queue_with_gpus_of_its_own_is_named():
    policy = Policy(queues={"half": QueueRule(gpus=frozenset({0, 1}))})
    reason = why(view(), waiting(5, 4, queue="half"), policy=policy)
    assert reason.sentence == "Job 5 asks for 4 GPUs, this node has 2 in queue half."
    waits = why(view(running(1, [0], 60)), waiting(5, 2, queue="half"), policy=policy)
    assert waits.sentence == "Job 5 needs 2 GPUs, 1 is free. Job 1 ends in 1m at the latest, then it starts."
