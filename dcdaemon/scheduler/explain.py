"""Why a job waits: the facts, taken from the same plan and the same fit that decide."""

import math
from dataclasses import dataclass, field, replace
from itertools import islice

from dcdaemon.core.errors import NotFound
from dcdaemon.core.plan import Plan
from dcdaemon.core.reasons import BlockedGpu, Facts, Reason, ReasonCode
from dcdaemon.core.view import ClusterView, NodeView, QueuedJob
from dcdaemon.scheduler.capacity import blocked_of, check_fits, shortfall
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.forecast import forecast
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.sentences import worded
from dcdaemon.scheduler.shape import NOTHING, Shape
from dcdaemon.scheduler.space import NodeSpace, spaces_of
from dcdaemon.scheduler.unblock import find_unblock

#: A shorter limit is no advice to give.
_SHORTEST_LIMIT_S = 60.0
_NO_FORECAST = frozenset({
    ReasonCode.STARTS_NOW, ReasonCode.HELD, ReasonCode.DEPENDENCY_FAILED, ReasonCode.NEVER_FITS,
    ReasonCode.DRAINED, ReasonCode.HEALTH, ReasonCode.FOREIGN,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Picture:
    """One decision and what it was made from; `nodes` is the space before anything of the plan started."""

    view: ClusterView
    queue: QueueIndex
    policy: Policy
    now: float
    nodes: list[NodeSpace]
    plan: Plan
    starting: frozenset[int]
    rank: dict[int, int]
    nearest: dict[tuple[int, int, int], NodeSpace] = field(default_factory=dict)


def explain(view: ClusterView, queue: QueueIndex, policy: Policy, now: float, job_id: int) -> Reason:
    """Return why this job waits, what would start it and when it starts at the latest; raises NotFound."""
    job = queue.get(job_id)
    if job is None:
        raise NotFound(f"job {job_id} is not waiting", f"dcd show {job_id} tells where it stands")
    picture = _picture(view, queue, policy, now)
    reason = _reason(picture, job)
    if reason.code is ReasonCode.NEVER_FITS:
        return reason
    if reason.code not in _NO_FORECAST:
        reason = _with_forecast(picture, reason)
    if reason.code is ReasonCode.PRIORITY:
        _add_limit_to_start(picture, job, reason.facts)
    return worded(replace(reason, unblock=find_unblock(view, queue, policy, now, job)))


def explain_all(
    view: ClusterView,
    queue: QueueIndex,
    policy: Policy,
    now: float,
    limit: int | None = None,
    only: frozenset[int] | None = None,
) -> list[Reason]:
    """Return why jobs wait, in queue order, from one pass; `unblock` stays empty.

    The first `limit` of them, or `only` those named: a listing pays for what it shows.
    """
    picture = _picture(view, queue, policy, now)
    jobs = (job for job in queue.ordered(Ranking(policy, now, view.standing)) if only is None or job.id in only)
    return [worded(_reason(picture, job)) for job in islice(jobs, limit)]


def _picture(view: ClusterView, queue: QueueIndex, policy: Policy, now: float) -> _Picture:
    ready = [job for job in queue.ordered(Ranking(policy, now, view.standing)) if is_ready(job)]
    rank = {job.id: place for place, job in enumerate(ready)}
    decided = plan(view, queue, policy, now)
    starting = frozenset(start.job_id for start in decided.starts)
    return _Picture(view, queue, policy, now, spaces_of(view), decided, starting, rank)


def _reason(picture: _Picture, job: QueuedJob) -> Reason:
    never = check_fits(job, picture.view.nodes, job.id)
    if never is not None:
        return never
    if job.held:
        return Reason(job.id, ReasonCode.HELD)
    if job.failed_dependency is not None:
        return Reason(job.id, ReasonCode.DEPENDENCY_FAILED, Facts(failed_dependency=job.failed_dependency))
    if job.waits_for:
        return Reason(job.id, ReasonCode.DEPENDENCY, Facts(waits_for=list(job.waits_for)))
    if job.id in picture.starting:
        return Reason(job.id, ReasonCode.STARTS_NOW, expected_start_at=picture.now)
    return _blocked_reason(picture, job) or _waiting_reason(picture, job)


def _blocked_reason(picture: _Picture, job: QueuedJob) -> Reason | None:
    """Return the reason of a job for which too many GPUs take no work, None for the others."""
    shape = Shape.of(job)
    if any(node.can_hold(shape) for node in picture.nodes):
        return None
    pairs = zip(picture.view.nodes, picture.nodes, strict=True)
    large = [pair for pair in pairs if shortfall(shape, pair[0]) == NOTHING]
    node, space = max(large, key=lambda pair: len(pair[1].usable))
    blocked = _blocked(node)
    facts = _numbers(picture, shape, space) | Facts(blocked=blocked)
    return Reason(job.id, ReasonCode(blocked[0]["block"]), facts)


def _waiting_reason(picture: _Picture, job: QueuedJob) -> Reason:
    """Return the reason of a job that waits for room or for its turn."""
    shape = Shape.of(job)
    space = _nearest(picture, shape)
    facts = _numbers(picture, shape, space)
    facts["ahead"] = picture.rank[job.id]
    facts["endless"] = sorted(hold.job_id for hold in space.holds if hold.ends_at == math.inf)
    blocked = _blocked(picture.view.nodes[space.position])
    if blocked:
        facts["blocked"] = blocked
    code = _lacking_code(space, shape)
    return _with_head(picture, job, Reason(job.id, code, facts))


def _nearest(picture: _Picture, shape: Shape) -> NodeSpace:
    """Return the node that lacks least, of those that could hold the shape; found once a demand."""
    if shape.demand not in picture.nearest:
        holding = (node for node in picture.nodes if node.can_hold(shape))
        nearest = min(holding, key=lambda node: (node.lacking(shape), node.position))
        picture.nearest[shape.demand] = nearest
    return picture.nearest[shape.demand]


def _with_head(picture: _Picture, job: QueuedJob, reason: Reason) -> Reason:
    """Add who is ahead: the head of the queue, or for the head itself those that start in this very pass."""
    facts, reservation = reason.facts, picture.plan.reservation
    if reservation is None:
        return reason
    if reservation.job_id == job.id:
        if reason.code is ReasonCode.PRIORITY:
            facts["starting"] = [start.job_id for start in picture.plan.starts if not start.backfilled]
        if reservation.at is not None:
            facts["starts_in_s"] = reservation.at - picture.now
        return replace(reason, expected_start_at=reservation.at)
    head = picture.queue.get(reservation.job_id)
    if head is not None:
        facts["head_job"], facts["head_priority"] = head.id, head.priority
        facts["head_gpus_needed"], facts["head_cpus_needed"] = head.gpus, head.cpus
        facts["head_starts_in_s"] = None if reservation.at is None else reservation.at - picture.now
    return reason


def _lacking_code(space: NodeSpace, shape: Shape) -> ReasonCode:
    lacking = space.lacking(shape)
    if lacking == NOTHING:
        return ReasonCode.PRIORITY
    if lacking.gpus:
        return ReasonCode.GPUS_BUSY
    return ReasonCode.CPUS_BUSY if lacking.cpus else ReasonCode.MEMORY_BUSY


def _numbers(picture: _Picture, shape: Shape, space: NodeSpace) -> Facts:
    return Facts(
        gpus_needed=shape.gpus, gpus_free=len(space.free),
        cpus_needed=shape.cpus, cpus_free=space.cpus,
        mem_needed_bytes=shape.mem_bytes, mem_free_bytes=space.mem_bytes,
        node=space.name, nodes=len(picture.nodes),
    )  # fmt: skip


def _blocked(node: NodeView) -> list[BlockedGpu]:
    return [
        BlockedGpu(node=node.name, gpu=gpu.index, block=str(gpu.blocked), detail=gpu.blocked_detail)
        for gpu in blocked_of(node)
    ]


def _with_forecast(picture: _Picture, reason: Reason) -> Reason:
    foretold = forecast(picture.view, picture.queue, picture.policy, picture.now, reason.job_id)
    if foretold is None:
        # The head's reservation stands, even where its end is too far away to be played through.
        reason.facts.setdefault("starts_in_s", None)
        return reason
    reason.facts["starts_in_s"] = foretold.at - picture.now
    reason.facts["ending"] = list(foretold.ended)
    reason.facts["starts_after_ending"] = not foretold.after_others
    return replace(reason, expected_start_at=foretold.at)


def _add_limit_to_start(picture: _Picture, job: QueuedJob, facts: Facts) -> None:
    """Add the limit with which the job may pass the head, if trying it out proves that it does."""
    head_in_s = facts.get("head_starts_in_s")
    if head_in_s is None or head_in_s - job.grace_s < _SHORTEST_LIMIT_S:
        return
    limit_s = float((head_in_s - job.grace_s) // _SHORTEST_LIMIT_S * _SHORTEST_LIMIT_S)
    queue = picture.queue.copy()
    queue.replace(replace(job, limit_s=limit_s + job.grace_s))
    starts = plan(picture.view, queue, picture.policy, picture.now).starts
    if any(start.job_id == job.id for start in starts):
        facts["limit_to_start_s"] = limit_s
