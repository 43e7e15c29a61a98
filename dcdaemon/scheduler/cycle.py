"""One scheduling pass: from a picture of the cluster and the queue to a plan, without doing anything."""

from collections.abc import Sequence

from dcdaemon.core.plan import Part, Plan, Start
from dcdaemon.core.view import ClusterView, QueuedJob
from dcdaemon.scheduler.gang import could_hold
from dcdaemon.scheduler.placement import Placement, place
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.reserve import Guard, reserve
from dcdaemon.scheduler.space import Hold, NodeSpace, spaces_of
from dcdaemon.scheduler.walk import Walk


def plan(view: ClusterView, queue: QueueIndex, policy: Policy, now: float) -> Plan:
    """Decide which waiting jobs start now, and what is kept for the first one that has to wait."""
    # 1 view: what is free on each node
    return plan_on(spaces_of(view), queue, policy, now)


def plan_on(nodes: Sequence[NodeSpace], queue: QueueIndex, policy: Policy, now: float) -> Plan:
    """Decide the same on spaces that the caller keeps from pass to pass; what starts is taken from them."""
    # 2 order: higher priority first, then first in, first out
    walk = queue.walk()
    # 3 fit: start jobs in that order, up to the first that does not fit
    starts = _start_in_order(walk, nodes, policy, now)
    head = walk.job
    if head is None:
        return Plan(tuple(starts), None, now)
    # 4 reserve: that job is the head; promise it the earliest start there is
    guard = reserve(head, nodes, policy, now)
    # 5 backfill: let later jobs pass where they cannot delay the head
    if policy.backfill:
        starts += _backfill(walk, nodes, guard, policy, now)
    return Plan(tuple(starts), guard.reservation, now)


def _start_in_order(walk: Walk, nodes: Sequence[NodeSpace], policy: Policy, now: float) -> list[Start]:
    starts: list[Start] = []
    while (job := walk.job) is not None:
        placement = place(walk.shape, nodes, policy)
        if placement is not None:
            starts.append(_start(job, placement, now))
            walk.next_job()
        elif could_hold(walk.shape, nodes, policy):
            return starts
        else:
            # Only a repair or an operator makes room: a reservation nobody can keep would block all others.
            walk.next_shorter(0.0)
    return starts


def _backfill(walk: Walk, nodes: Sequence[NodeSpace], guard: Guard, policy: Policy, now: float) -> list[Start]:
    starts: list[Start] = []
    # Demand -> shortest limit refused. Space only shrinks, so a refusal stands for longer limits, for good;
    # 0 stands for every limit: the head, for one, does not fit however short it is.
    refused: dict[tuple[int, int, int], float] = {walk.shape.demand: 0.0}
    tried_in_vain = 0
    while (job := walk.job) is not None and tried_in_vain < policy.backfill_depth:
        shape = walk.shape
        if shape.demand in refused and refused[shape.demand] <= shape.longest_s:
            walk.next_shorter(refused[shape.demand])
            continue
        placement = place(shape, nodes, policy, guard)
        if placement is None:
            hopeless = place(shape, nodes, policy) is None
            refused[shape.demand] = 0.0 if hopeless else shape.longest_s
            tried_in_vain += 1
            continue
        guard.note(placement.share, [part.node for part in placement.parts])
        starts.append(_start(job, placement, now, backfilled=True))
        walk.next_job()
    return starts


def _start(job: QueuedJob, placement: Placement, now: float, *, backfilled: bool = False) -> Start:
    share, (first, *others) = placement.share, placement.parts
    ends_at = now + share.longest_s
    for node, gpus in placement.parts:
        node.take(Hold(job.id, gpus, share.cpus, share.mem_bytes, ends_at))
    also = tuple(Part(node.name, gpus) for node, gpus in others)
    return Start(job.id, first.node.name, first.gpus, backfilled, also)
