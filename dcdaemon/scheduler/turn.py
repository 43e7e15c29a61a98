"""Whose turn it is before a waiting job's: who something is kept for, and who starts in this very pass."""

from dataclasses import replace

from dcdaemon.core.plan import Reservation
from dcdaemon.core.reasons import Basis, Facts, Reason, ReasonCode
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.picture import Picture


def with_turn(picture: Picture, job: QueuedJob, reason: Reason) -> Reason:
    """Add what is kept for the job itself; and who is ahead, unless it is first in line and only lacks room."""
    kept = picture.kept_for.get(job.id)
    if kept is None or reason.code is ReasonCode.PRIORITY:
        reason = replace(reason, facts=reason.facts | _ahead(picture, job, reason.code))
    if kept is None:
        return reason
    at, facts = _at(kept), Facts(promised=kept.promised)
    if at is not None:
        facts["starts_in_s"], facts["starts_basis"] = at - picture.now, _basis(kept)
    return replace(reason, facts=reason.facts | facts, expected_start_at=at, expected_high_at=kept.at)


def _ahead(picture: Picture, job: QueuedJob, code: ReasonCode) -> Facts:
    """Return who keeps the job off GPUs that it would fit on; or who takes them now, or is first in line."""
    guard = picture.keeper(job)
    starting = [other.id for other in picture.starting_before(job)]
    if guard is None and code is ReasonCode.PRIORITY and starting:
        return Facts(starting=starting)
    kept = guard.reservation if guard is not None else picture.plan.reservation
    head = None if kept is None or kept.job_id == job.id else picture.queue.get(kept.job_id)
    if kept is None or head is None:
        return Facts(starting=starting or list(picture.starts))
    at, share = _at(kept), head.gpu_mem_bytes
    return (Facts() if share is None else Facts(head_gpu_mem_needed_bytes=share)) | Facts(
        head_job=head.id, head_priority=head.priority, head_gpus_needed=head.gpus, head_cpus_needed=head.cpus,
        head_starts_in_s=None if at is None else at - picture.now, head_basis=_basis(kept), head_promised=kept.promised,
    )  # fmt: skip


def _at(kept: Reservation) -> float | None:
    return kept.at if kept.expected_at is None else kept.expected_at


def _basis(kept: Reservation) -> Basis:
    return Basis.LIMITS if kept.expected_at is None else Basis.PREDICTIONS
