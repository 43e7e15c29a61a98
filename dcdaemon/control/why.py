"""Why a job waits: the scheduler's own answer for one job, or for all that a listing shows."""

from collections.abc import Collection

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import Refused
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.reasons import Reason, ReasonCode
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import short

NOW = "now"


def why(desk: Desk, job: Job) -> Reason:
    """Return the reason of a waiting job, or raise Refused for one that does not wait."""
    with desk.book.lock:
        view, queue = desk.book.view(), desk.book.queue.copy()
    if job.state is not JobState.WAITING or job.id not in queue:
        raise Refused(f"job {job.id} does not wait; it is {job.state}", f"dcd show {job.id}")
    return explain(view, queue, desk.policy, desk.clock.now(), job.id)


def short_why(desk: Desk, job_id: int) -> str:
    """Return `now` when the job starts in this cycle or has started, else the reason in a few words."""
    with desk.book.lock:
        if job_id not in desk.book.queue:
            return NOW
        view, queue = desk.book.view(), desk.book.queue.copy()
    reason = explain(view, queue, desk.policy, desk.clock.now(), job_id)
    return NOW if reason.code is ReasonCode.STARTS_NOW else short(reason)


def reasons(desk: Desk, job_ids: Collection[int]) -> dict[int, tuple[Reason, str]]:
    """Return reason and short text of each of these waiting jobs, in one pass over the queue."""
    if not job_ids:
        return {}
    with desk.book.lock:
        view, queue = desk.book.view(), desk.book.queue.copy()
    found = explain_all(view, queue, desk.policy, desk.clock.now(), only=frozenset(job_ids))
    return {reason.job_id: (reason, short(reason)) for reason in found}
