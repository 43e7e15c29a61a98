"""Cancel, hold, release, requeue, preempt: durable changes of jobs, checked against the caller's rights."""

from collections.abc import Sequence
from dataclasses import replace

from dcdaemon.control.desk import Desk
from dcdaemon.control.together import Changed, change_all
from dcdaemon.core.errors import BadInput, Refused
from dcdaemon.core.job import ACTIVE, Job, JobState
from dcdaemon.core.ports import DAEMON, Actor

SIGNALS = ("TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "KILL")
CANCELLED, REQUEUED, PREEMPTED = "cancelled", "requeued", "preempted"
OUT_OF_MEMORY, HUNG = "out_of_memory", "hung"
_CAUSE_OF_VERB = {
    "cancel": CANCELLED, "requeue": REQUEUED, "preempt": PREEMPTED, "starve": OUT_OF_MEMORY, "end_hung": HUNG,
}  # fmt: skip
_STARVED_GRACE_S, _HUNG_GRACE_S = 10.0, 5.0


def cancel(desk: Desk, actor: Actor, job_id: int, signal: str | None = None, grace_s: float | None = None) -> Job:
    """End a job: a waiting one at once, an active one by signal, grace, KILL; without a signal it may save its work."""
    return cancel_all(desk, actor, [job_id], signal, grace_s).only()


def cancel_all(
    desk: Desk, actor: Actor, job_ids: Sequence[int], signal: str | None = None, grace_s: float | None = None
) -> Changed:
    """End jobs; none of those that wait starts because others end."""
    if signal is not None and signal not in SIGNALS:
        raise BadInput(f"signal {signal!r} is not one of {', '.join(SIGNALS)}", "leave --signal out for TERM")
    now = desk.clock.now()

    def cancelled(job: Job) -> Job:
        if job.state is JobState.WAITING:
            return job.mark_ended(JobState.CANCELLED, now, cause=f"cancelled by {actor.user} before it started")
        if job.state not in ACTIVE:
            raise Refused(f"job {job.id} has already ended ({job.state})", f"dcd show {job.id}")
        return _stopping(job)

    changed = change_all(desk, actor, job_ids, "cancel", cancelled)
    for job in changed.jobs:
        _tell_engine(desk, job, signal, job.spec.grace_s if grace_s is None else grace_s, CANCELLED)
    return changed


def hold(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Keep a waiting job from starting."""
    return hold_all(desk, actor, [job_id]).only()


def hold_all(desk: Desk, actor: Actor, job_ids: Sequence[int]) -> Changed:
    """Keep waiting jobs from starting."""
    return change_all(desk, actor, job_ids, "hold", lambda job: job.with_hold(held=True))


def release(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Let a held job start again; it waits from now on, and is no older than that."""
    return release_all(desk, actor, [job_id]).only()


def release_all(desk: Desk, actor: Actor, job_ids: Sequence[int]) -> Changed:
    """Let held jobs start again."""
    now = desk.clock.now()

    def released(job: Job) -> Job:
        return replace(job.with_hold(held=False), queued_at=now if job.held else job.queued_at)

    return change_all(desk, actor, job_ids, "release", released)


def requeue(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Run a job again: an ended one at once, an active one after it was stopped."""
    return requeue_all(desk, actor, [job_id]).only()


def requeue_all(desk: Desk, actor: Actor, job_ids: Sequence[int]) -> Changed:
    """Run jobs again."""
    now = desk.clock.now()

    def again(job: Job) -> Job:
        if job.state is JobState.WAITING:
            raise Refused(f"job {job.id} waits already", f"dcd why {job.id} tells what for")
        return _stopping(job) if job.state in ACTIVE else desk.predictions.requeued(job, now)

    changed = change_all(desk, actor, job_ids, "requeue", again)
    for job in changed.jobs:
        _tell_engine(desk, job, None, job.spec.grace_s, REQUEUED)
    return changed


def preempt(desk: Desk, job_id: int) -> Job:
    """Have a running job make room: asked to end, and queued again when it has."""
    job = _stop_running(desk, job_id, "preempt")
    return _tell_engine(desk, job, None, job.spec.grace_s, PREEMPTED)


def starve(desk: Desk, job_id: int) -> Job:
    """End a running job for the memory it holds, soon: others on the node may need that memory now."""
    job = _stop_running(desk, job_id, "starve")
    return _tell_engine(desk, job, "TERM", min(job.spec.grace_s, _STARVED_GRACE_S), OUT_OF_MEMORY)


def end_hung(desk: Desk, job_id: int) -> Job:
    """End a running job that hangs, soon: it cannot save anything any more."""
    job = _stop_running(desk, job_id, "end_hung")
    return _tell_engine(desk, job, "TERM", min(job.spec.grace_s, _HUNG_GRACE_S), HUNG)


def _stop_running(desk: Desk, job_id: int, verb: str) -> Job:
    """Mark a job that the daemon itself ends; raise Refused when it does not run any more."""

    def stopped(job: Job) -> Job:
        if job.state is not JobState.RUNNING:
            raise Refused(f"job {job_id} does not run any more ({job.state})", f"dcd show {job_id}")
        return job.mark_stopping()

    return change_all(desk, DAEMON, [job_id], verb, stopped).only()


def _stopping(job: Job) -> Job:
    """Return the job as asked to end; asked once more, it is a new version: the audit keeps the last word."""
    return replace(job, version=job.version + 1) if job.state is JobState.STOPPING else job.mark_stopping()


def _tell_engine(desk: Desk, job: Job, signal: str | None, grace_s: float, cause: str) -> Job:
    if job.state is JobState.STOPPING:
        desk.engine.stop(job, signal, grace_s, cause)
    return job


def stop_again(desk: Desk, job: Job) -> None:
    """Ask a stopping job's shim once more: the first request was lost in a crash, or came before the shim."""
    desk.engine.stop(job, None, job.spec.grace_s, cause_of_stop(desk, job))


def cause_of_stop(desk: Desk, job: Job) -> str:
    """Tell whether a stopping job was cancelled, requeued or preempted, by the audit: its row is in the same commit."""
    verbs = [row.action for row in desk.store.audit(job_id=job.id) if row.action in _CAUSE_OF_VERB]
    return _CAUSE_OF_VERB[verbs[-1]] if verbs else CANCELLED
