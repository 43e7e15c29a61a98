"""Why a job waits: the scheduler's own answer for one job, or for all that a listing shows."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from dcdaemon.control.desk import Desk
from dcdaemon.control.hidden_jobs import seen_by, seen_by_all
from dcdaemon.control.remember import standing
from dcdaemon.core.errors import Refused
from dcdaemon.core.job import UNFINISHED, Job, JobState
from dcdaemon.core.ports import DAEMON, Actor
from dcdaemon.core.reasons import Reason, ReasonCode
from dcdaemon.core.view import ClusterView
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import spaces_of

NOW = "now"
_FOR_ROOM = frozenset({ReasonCode.GPUS_BUSY, ReasonCode.CPUS_BUSY, ReasonCode.MEMORY_BUSY, ReasonCode.PRIORITY})


def why(desk: Desk, job: Job, actor: Actor = DAEMON) -> Reason:
    """Return the reason of a waiting job for this reader, or raise Refused for one that does not wait."""
    now = desk.clock.now()
    view, queue = _looked_at(desk, now)
    if job.state is not JobState.WAITING or job.id not in queue:
        raise Refused(f"job {job.id} {_standing(job.state)}", f"dcd show {job.id}")
    reason = _kept(desk, explain(view, queue, desk.policy, now, job.id))
    return seen_by(desk, actor, _with_told(reason, job, now))


def _kept(desk: Desk, reason: Reason) -> Reason:
    """Say of a job that would start now what keeps the daemon from starting any."""
    keeps = desk.board.keeps_jobs
    if keeps is None or reason.code is not ReasonCode.STARTS_NOW:
        return reason
    return replace(
        reason, expected_start_at=None, note="waits: see dcd status",
        sentence=f"Job {reason.job_id} would start now, but: {keeps}.",
    )  # fmt: skip


def _standing(state: JobState) -> str:
    return f"does not wait; it is {state}" if state in UNFINISHED else f"has ended: {state}"


def _with_told(reason: Reason, job: Job, now: float) -> Reason:
    """Return the reason with what was foretold at submit, where nothing newer is known of the start."""
    at, low_at, high_at = job.forecast_at, job.forecast_low_at, job.forecast_high_at
    if reason.expected_start_at is not None or reason.code not in _FOR_ROOM or job.attempt:
        return reason
    if at is None or low_at is None or high_at is None or high_at < now:
        return reason
    return replace(reason, expected_start_at=max(at, now), expected_low_at=max(low_at, now), expected_high_at=high_at)


def short_whys(desk: Desk, actor: Actor, job_ids: Sequence[int]) -> list[str]:
    """Return `now` for a job that starts in this cycle or has started, else the reason in a few words."""
    found = reasons(desk, actor, job_ids)
    at_once = ReasonCode.STARTS_NOW if desk.board.keeps_jobs is None else None
    starting = {job_id for job_id, (reason, _) in found.items() if reason.code is at_once}
    return [NOW if job_id in starting or job_id not in found else found[job_id][1] for job_id in job_ids]


def reasons(desk: Desk, actor: Actor, job_ids: Collection[int]) -> dict[int, tuple[Reason, str]]:
    """Return reason and short text, for this reader, of those of these jobs that wait; in one pass over the queue."""
    if not job_ids:
        return {}
    now = desk.clock.now()
    view, queue = _looked_at(desk, now)
    found = explain_all(view, queue, desk.policy, now, only=frozenset(job_ids))
    told = [_kept(desk, replace(reason, note=short(reason))) for reason in found]
    return {reason.job_id: (reason, reason.note) for reason in seen_by_all(desk, actor, told)}


def places(desk: Desk) -> dict[int, int]:
    """Return the place of each waiting job in the order in which the next plan considers them, from 0."""
    now = desk.clock.now()
    with desk.book.lock:
        view = replace(desk.book.view(), standing=standing(desk, now))
        ordered = desk.book.queue.ordered(Ranking(desk.policy, now, view.standing, Tally.of(view), spaces_of(view)))
    return {queued.id: place for place, queued in enumerate(ordered)}


def _looked_at(desk: Desk, now: float) -> tuple[ClusterView, QueueIndex]:
    """Return what the next plan would be made from."""
    with desk.book.lock:
        desk.book.pass_time(now)
        return replace(desk.book.view(), standing=standing(desk, now)), desk.book.queue.copy()
