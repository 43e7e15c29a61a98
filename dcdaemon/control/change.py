"""Cancel, hold, release and requeue: one durable change of one job each, checked against the caller's rights."""

from collections.abc import Callable

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadInput, NotFound, Refused
from dcdaemon.core.job import ACTIVE, Job, JobState
from dcdaemon.core.ports import Actor, JobChange

SIGNALS = ("TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "KILL")
CANCELLED, REQUEUED = "cancelled", "requeued"
_CAUSE_OF_VERB = {"cancel": CANCELLED, "requeue": REQUEUED}
_TRIES = 20


def cancel(desk: Desk, actor: Actor, job_id: int, signal: str = "TERM", grace_s: float | None = None) -> Job:
    """End a job: a waiting one at once, an active one by signal, grace, KILL."""
    if signal not in SIGNALS:
        raise BadInput(f"signal {signal!r} is not one of {', '.join(SIGNALS)}", "leave --signal out for TERM")
    return _stop(desk, actor, job_id, "cancel", lambda job: (signal, job.spec.grace_s if grace_s is None else grace_s))


def hold(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Keep a waiting job from starting."""
    return _change(desk, actor, job_id, "hold", lambda job: job.with_hold(held=True))


def release(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Let a held job start again."""
    return _change(desk, actor, job_id, "release", lambda job: job.with_hold(held=False))


def requeue(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Run a job again: an ended one at once, an active one after it was stopped."""
    job = find(desk, job_id)
    if job.state in ACTIVE:
        return _stop(desk, actor, job_id, "requeue", lambda active: ("TERM", active.spec.grace_s))
    now = desk.clock.now()

    def queued(ended: Job) -> Job:
        if ended.state is JobState.WAITING:
            raise Refused(f"job {job_id} waits already", f"dcd why {job_id} tells what for")
        return ended.mark_requeued(now)

    return _change(desk, actor, job_id, "requeue", queued)


def find(desk: Desk, job_id: int) -> Job:
    """Return a job from memory or the store; raise NotFound."""
    job = desk.book.get(job_id) or desk.store.job(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id}", "dcd ps -a lists all jobs")
    return job


def _stop(desk: Desk, actor: Actor, job_id: int, verb: str, how: Callable[[Job], tuple[str, float]]) -> Job:
    now = desk.clock.now()

    def stopped(job: Job) -> Job:
        if job.state is JobState.WAITING:
            return job.mark_ended(JobState.CANCELLED, now, cause=f"cancelled by {actor.user} before it started")
        if job.state is JobState.STOPPING:
            return job
        if job.state not in ACTIVE:
            raise Refused(f"job {job.id} has already ended ({job.state})", f"dcd show {job.id}")
        return job.mark_stopping()

    job = _change(desk, actor, job_id, verb, stopped)
    if job.state is JobState.STOPPING:
        signal, grace_s = how(job)
        desk.engine.stop(job, signal, grace_s, _CAUSE_OF_VERB[verb])
    return job


def stop_again(desk: Desk, job: Job) -> None:
    """Ask a stopping job's shim once more: the first request was lost in a crash, or came before the shim."""
    desk.engine.stop(job, "TERM", job.spec.grace_s, cause_of_stop(desk, job))


def cause_of_stop(desk: Desk, job: Job) -> str:
    """Tell whether a stopping job was cancelled or requeued, by the audit: its row is in the same commit."""
    verbs = [row.action for row in desk.store.audit(job_id=job.id) if row.action in _CAUSE_OF_VERB]
    return _CAUSE_OF_VERB[verbs[-1]] if verbs else CANCELLED


def _change(desk: Desk, actor: Actor, job_id: int, verb: str, change: Callable[[Job], Job]) -> Job:
    """Apply `change` to the newest value of the job; try again when someone else was faster."""
    for _ in range(_TRIES):
        before = find(desk, job_id)
        desk.check_rights(actor, before, verb)
        after = change(before)
        if after is before:
            return before
        [saved] = desk.store.save([JobChange(before, after, desk.clock.now(), actor, verb)])
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
