"""Why a job waits: the facts, taken from the same pass and the same fit that decide."""

import math
from dataclasses import replace
from heapq import nsmallest

from dcdaemon.core.errors import NotFound
from dcdaemon.core.reasons import BlockedGpu, Facts, Reason, ReasonCode
from dcdaemon.core.view import ClusterView, QueuedJob
from dcdaemon.scheduler.ahead import Key, Line
from dcdaemon.scheduler.booked import booked_gpus
from dcdaemon.scheduler.caps import COUNTS_JOBS, Cap, Over
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.due_words import due_facts
from dcdaemon.scheduler.forecast import forecast
from dcdaemon.scheduler.nearest import Nearest
from dcdaemon.scheduler.picture import Picture
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.sentences import worded
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.share_words import share_facts
from dcdaemon.scheduler.space import NodeSpace
from dcdaemon.scheduler.turn import with_turn
from dcdaemon.scheduler.unblock import find_unblock

#: A shorter limit is no advice to give.
_SHORTEST_LIMIT_S = 60.0
_NO_FORECAST = frozenset({
    ReasonCode.STARTS_NOW, ReasonCode.HELD, ReasonCode.DEPENDENCY_FAILED, ReasonCode.NEVER_FITS,
    ReasonCode.DRAINED, ReasonCode.HEALTH, ReasonCode.FOREIGN,
})  # fmt: skip
_CODE_OF_LIMIT = {
    Cap.USER: ReasonCode.QUOTA, Cap.ACCOUNT: ReasonCode.QUOTA, Cap.QUOTA: ReasonCode.QUOTA,
    Cap.NO_CPU: ReasonCode.QUOTA, Cap.ARRAY: ReasonCode.ARRAY_LIMIT,
}  # fmt: skip


def explain(view: ClusterView, queue: QueueIndex, policy: Policy, now: float, job_id: int) -> Reason:
    """Return why this job waits, what would start it and when it is expected to start; raises NotFound."""
    job = queue.get(job_id)
    if job is None:
        raise NotFound(f"job {job_id} is not waiting", f"dcd show {job_id} tells where it stands")
    picture = Picture(view, queue, policy, now)
    reason = _reason(picture, job)
    reason = replace(reason, facts=reason.facts | due_facts(job, now))
    if reason.code in {ReasonCode.NEVER_FITS, ReasonCode.STARTS_NOW}:
        return worded(reason)
    line = Line.of(view, queue, policy, now)
    ahead = line.ready_before(job_id)
    if is_ready(job):
        reason.facts["ahead"], reason.facts["ahead_by"] = len(ahead), line.why_ahead(job_id)
    if reason.code not in _NO_FORECAST:
        reason = _with_forecast(picture, line, reason)
    if reason.code is ReasonCode.PRIORITY:
        _add_limit_to_start(picture, job, reason.facts, reason.facts.get("head_starts_in_s"))
    if reason.code is ReasonCode.BOOKED:
        opens_in_s = min(one["opens_in_s"] for one in reason.facts["booked"])
        _add_limit_to_start(picture, job, reason.facts, opens_in_s)
    return worded(replace(reason, unblock=find_unblock(view, queue, policy, now, job, ahead)))


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
    picture = Picture(view, queue, policy, now)
    jobs = [job for job in queue if only is None or job.id in only]
    placed = nsmallest(len(jobs) if limit is None else limit, jobs, key=lambda job: Key.of(job, picture.ranking))
    return [worded(_reason(picture, job)) for job in placed]


def _reason(picture: Picture, job: QueuedJob) -> Reason:
    own = picture.never_fits(job) or _own_reason(job, picture.now)
    if own is not None:
        return own
    if job.id in picture.starts:
        return Reason(job.id, ReasonCode.STARTS_NOW, expected_start_at=picture.now)
    over = picture.refusing(job)
    if over is not None:
        return _limit_reason(picture, job, over)
    near = picture.nearest(job)
    return _blocked_reason(picture, job) if near is None else _waiting_reason(picture, job, near)


def _own_reason(job: QueuedJob, now: float) -> Reason | None:
    """Return the reason of a job that would wait on empty nodes, too."""
    if job.held:
        return Reason(job.id, ReasonCode.HELD)
    if job.failed_dependency is not None:
        failed, unwanted = job.failed_dependency, job.failed_dependency in job.waits_not_ok
        facts = Facts(failed_dependency=failed, unwanted_success=unwanted)
        return Reason(job.id, ReasonCode.DEPENDENCY_FAILED, facts)
    if job.waits_for:
        return Reason(job.id, ReasonCode.DEPENDENCY, Facts(waits_for=list(job.waits_for)))
    if job.begin_at is not None:
        return Reason(job.id, ReasonCode.BEGIN_TIME, Facts(begins_in_s=max(job.begin_at - now, 0.0)))
    return None


def _limit_reason(picture: Picture, job: QueuedJob, over: Over) -> Reason:
    """Return the reason of a job that would be too much for one of the limits it counts against."""
    kind, _ = over.key
    facts = Facts(
        limit=list(over.key), limit_used=over.used, limit_most=over.most, limit_more=picture.tally.more(over.key, job),
        limit_counts_jobs=kind in COUNTS_JOBS, limit_kept=picture.made.ranking.tally.is_kept(over.key),
        gpus_needed=job.gpus, nodes=len(picture.nodes),
    )  # fmt: skip
    return Reason(job.id, _CODE_OF_LIMIT.get(Cap(kind), ReasonCode.QUEUE_LIMIT), facts)


def _blocked_reason(picture: Picture, job: QueuedJob) -> Reason:
    """Return the reason of a job for which too many GPUs take no work."""
    near = picture.nearest_if_open(job)
    blocked = [gpu for space in near.spaces for gpu in _blocked(picture, job, space)]
    facts = near.facts(Shape.of(job), len(picture.nodes)) | Facts(blocked=blocked)
    if job.gpu_mem_bytes is not None:
        facts["gpu_mem_needed_bytes"] = job.gpu_mem_bytes
    return Reason(job.id, ReasonCode(blocked[0]["block"]), facts)


def _waiting_reason(picture: Picture, job: QueuedJob, near: Nearest) -> Reason:
    """Return the reason of a job that waits for room or for its turn."""
    facts = near.facts(Shape.of(job), len(picture.nodes)) | share_facts(
        Shape.of(job), near.spaces[-1], picture.now, picture.policy.share_holdoff_s
    )
    holds = (hold for space in near.spaces for hold in space.holds)
    facts["endless"] = sorted({hold.job_id for hold in holds if hold.expected_end(picture.now) == math.inf})
    blocked = [gpu for space in near.spaces for gpu in _blocked(picture, job, space)]
    if blocked:
        facts["blocked"] = blocked
    booked = booked_gpus(near, picture.now) if near.code is ReasonCode.GPUS_BUSY else []
    if booked:
        facts["booked"] = booked
    return with_turn(picture, job, Reason(job.id, ReasonCode.BOOKED if booked else near.code, facts))


def _blocked(picture: Picture, job: QueuedJob, space: NodeSpace) -> list[BlockedGpu]:
    slots = picture.blocked(job, space)
    return [
        BlockedGpu(node=space.name, gpu=slot.index, block=str(slot.blocked), detail=slot.blocked_detail)
        for slot in slots
    ]


def _with_forecast(picture: Picture, line: Line, reason: Reason) -> Reason:
    facts, foretold = reason.facts, forecast(picture.view, line, picture.policy, picture.now, reason.job_id)
    if foretold is None:
        # What is kept for the job stands, even where its end is too far away to be played through.
        facts.setdefault("starts_in_s", None)
        return reason
    facts["starts_in_s"], facts["starts_basis"] = foretold.at - picture.now, foretold.basis
    facts["starts_low_in_s"] = foretold.low_at - picture.now
    facts["starts_high_in_s"] = None if foretold.high_at is None else foretold.high_at - picture.now
    facts["ending"] = list(foretold.ended)
    facts["starts_after_ending"] = not foretold.after_others
    if "head_job" in facts:
        facts["head_starts_beside"] = facts["head_job"] in foretold.beside
    return replace(
        reason, expected_start_at=foretold.at, expected_low_at=foretold.low_at, expected_high_at=foretold.high_at
    )


def _add_limit_to_start(picture: Picture, job: QueuedJob, facts: Facts, within_s: float | None) -> None:
    """Add the limit with which the job is over before that is needed, if trying it out proves that it starts."""
    if within_s is None or within_s - job.grace_s < _SHORTEST_LIMIT_S:
        return
    limit_s = float((within_s - job.grace_s) // _SHORTEST_LIMIT_S * _SHORTEST_LIMIT_S)
    queue = picture.queue.copy()
    queue.replace(replace(job, limit_s=limit_s + job.grace_s))
    starts = plan(picture.view, queue, picture.policy, picture.now).starts
    if any(start.job_id == job.id for start in starts):
        facts["limit_to_start_s"] = limit_s
