"""Cancel, hold, release, requeue, preempt: one durable change of one job each, checked against the caller's rights."""

from collections.abc import Callable
from dataclasses import replace

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadInput, NotFound, Refused
from dcdaemon.core.job import ACTIVE, Job, JobState
from dcdaemon.core.ports import DAEMON, Actor, JobChange

SIGNALS = ("TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "KILL")
CANCELLED, REQUEUED, PREEMPTED = "cancelled", "requeued", "preempted"
_CAUSE_OF_VERB = {"cancel": CANCELLED, "requeue": REQUEUED, "preempt": PREEMPTED}
_TRIES = 20


def cancel(desk: Desk, actor: Actor, job_id: int, signal: str = "TERM", grace_s: float | None = None) -> Job:
    """End a job: a waiting one at once, an active one by signal, grace, KILL."""
    if signal not in SIGNALS:
        raise BadInput(f"signal {signal!r} is not one of {', '.join(SIGNALS)}", "leave --signal out for TERM")
    now = desk.clock.now()

    def cancelled(job: Job) -> Job:
        if job.state is JobState.WAITING:
            return job.mark_ended(JobState.CANCELLED, now, cause=f"cancelled by {actor.user} before it started")
        if job.state not in ACTIVE:
            raise Refused(f"job {job_id} has already ended ({job.state})", f"dcd show {job_id}")
        return _stopping(job)

    job = _change(desk, actor, job_id, "cancel", cancelled)
    return _tell_engine(desk, job, signal, job.spec.grace_s if grace_s is None else grace_s, CANCELLED)


def hold(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Keep a waiting job from starting."""
    return _change(desk, actor, job_id, "hold", lambda job: job.with_hold(held=True))


def release(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Let a held job start again; it waits from now on, and is no older than that."""
    now = desk.clock.now()

    def released(job: Job) -> Job:
        return replace(job.with_hold(held=False), queued_at=now if job.held else job.queued_at)

    return _change(desk, actor, job_id, "release", released)


def requeue(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Run a job again: an ended one at once, an active one after it was stopped."""
    now = desk.clock.now()

    def again(job: Job) -> Job:
        if job.state is JobState.WAITING:
            raise Refused(f"job {job_id} waits already", f"dcd why {job_id} tells what for")
        return _stopping(job) if job.state in ACTIVE else desk.predictions.requeued(job, now)

    job = _change(desk, actor, job_id, "requeue", again)
    return _tell_engine(desk, job, "TERM", job.spec.grace_s, REQUEUED)


def preempt(desk: Desk, job_id: int) -> Job:
    """Have a running job make room: asked to end, and queued again when it has."""

    def stopped(job: Job) -> Job:
        if job.state is not JobState.RUNNING:
            raise Refused(f"job {job_id} does not run any more ({job.state})", f"dcd show {job_id}")
        return job.mark_stopping()

    job = _change(desk, DAEMON, job_id, "preempt", stopped)
    return _tell_engine(desk, job, "TERM", job.spec.grace_s, PREEMPTED)


def find(desk: Desk, job_id: int) -> Job:
    """Return a job from memory or the store; raise NotFound."""
    known_to_databases = job_id < 2**63
    job = desk.book.get(job_id) or (desk.store.job(job_id) if known_to_databases else None)
    if job is None:
        raise NotFound(f"there is no job {job_id}", "dcd ps -a lists all jobs")
    return job


def _stopping(job: Job) -> Job:
    """Return the job as asked to end; asked once more, it is a new version: the audit keeps the last word."""
    return replace(job, version=job.version + 1) if job.state is JobState.STOPPING else job.mark_stopping()


def _tell_engine(desk: Desk, job: Job, signal: str, grace_s: float, cause: str) -> Job:
    if job.state is JobState.STOPPING:
        desk.engine.stop(job, signal, grace_s, cause)
    return job


def stop_again(desk: Desk, job: Job) -> None:
    """Ask a stopping job's shim once more: the first request was lost in a crash, or came before the shim."""
    desk.engine.stop(job, "TERM", job.spec.grace_s, cause_of_stop(desk, job))


def cause_of_stop(desk: Desk, job: Job) -> str:
    """Tell whether a stopping job was cancelled, requeued or preempted, by the audit: its row is in the same commit."""
    verbs = [row.action for row in desk.store.audit(job_id=job.id) if row.action in _CAUSE_OF_VERB]
    return _CAUSE_OF_VERB[verbs[-1]] if verbs else CANCELLED


def _change(desk: Desk, actor: Actor, job_id: int, verb: str, change: Callable[[Job], Job]) -> Job:
    """Apply `change` to the newest value of the job; try again when someone else was faster."""
    for _ in range(_TRIES):
        before = find(desk, job_id)
        desk.check_rights(actor, before, verb)
        [saved] = desk.store.save([JobChange(before, change(before), desk.clock.now(), actor, verb)])
        if saved is not None:
            desk.settle([saved])
            return saved
        refresh(desk, job_id)
    raise Refused(f"job {job_id} changes too quickly to {verb} it", "try again")


def refresh(desk: Desk, job_id: int) -> Job | None:
    """Take the stored value of a job into the book."""
    stored = desk.store.job(job_id)
    if stored is not None:
        desk.take([stored])
    return stored
