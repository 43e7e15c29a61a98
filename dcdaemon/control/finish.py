"""Finish: learn what became of active jobs and write down their true ends; used at each end and after a restart."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from dcdaemon.control.bookings import load_bookings
from dcdaemon.control.change import PREEMPTED, REQUEUED, cause_of_stop, stop_again
from dcdaemon.control.desk import Desk
from dcdaemon.control.together import refresh
from dcdaemon.core.job import ACTIVE, ENDED, UNFINISHED, Job, JobState
from dcdaemon.core.ports import Alive, Ended, JobChange, JobQuery, Leftover, Outcome, Unlaunched

log = logging.getLogger(__name__)

#: How the shim's word for the end of an attempt reads as a state; a plain exit is judged by its code.
_STATE_OF_CAUSE = {
    "cancelled": JobState.CANCELLED,
    "requeued": JobState.CANCELLED,
    "timed_out": JobState.TIMED_OUT,
    "out_of_memory": JobState.OUT_OF_MEMORY,
    "preempted": JobState.PREEMPTED,
    "stopped": JobState.INTERRUPTED,
    "hung": JobState.FAILED,
    "start_failed": JobState.FAILED,
    "shim_error": JobState.FAILED,
}
_NO_TRACE = "nothing is left of it on disk: the node lost power while it ran, or its run directory was removed"
_RUN_AGAIN = frozenset({JobState.INTERRUPTED, JobState.PREEMPTED})


def load(desk: Desk) -> None:
    """Fill the book from the store and take over what an earlier daemon started."""
    load_bookings(desk)
    stored = desk.store.jobs(JobQuery(states=UNFINISHED, oldest_first=True))
    # A database may serve several nodes: to take over another one's job would be to run it twice.
    jobs = [job for job in stored if job.node == desk.node]
    desk.take(jobs)
    reconcile(desk, [job.id for job in jobs if job.state in ACTIVE], restart=True)


def reconcile(desk: Desk, job_ids: Iterable[int], *, restart: bool = False) -> list[Job]:
    """Compare each active job with what its engine knows, store what changed; return jobs that need another look."""
    changes: list[JobChange] = []
    again: list[Job] = []
    for job_id in job_ids:
        job = desk.book.get(job_id)
        if job is None or job.state not in ACTIVE:
            continue
        outcome = desk.engine.adopt(job)
        changes += _changes(desk, job, outcome)
        if isinstance(outcome, Leftover):
            again.append(job)
        stopping, orphaned = job.state is JobState.STOPPING, isinstance(outcome, Leftover)
        # A shim that died took its request and its clock along, and what it left would go on for ever.
        if orphaned and (stopping or _past_limit(job, desk.clock.now())):
            stop_again(desk, job)
        if restart and stopping and isinstance(outcome, Alive):
            stop_again(desk, job)
    return again + _store(desk, changes)


def _past_limit(job: Job, now: float) -> bool:
    limit_s, begin = job.spec.limit_s, job.started_at
    return limit_s is not None and begin is not None and now >= begin + limit_s + job.spec.grace_s


def _changes(desk: Desk, job: Job, outcome: Outcome) -> list[JobChange]:
    """Return what the outcome makes of the job: nothing, one step, or its end and its place in the queue again."""
    now = desk.clock.now()
    outcome = _as_asked(desk, job, outcome)
    after = _after(job, outcome, now)
    if after is None or after.state not in ENDED:
        return [] if after is None else [JobChange(job, after, now)]
    ended = _with_rank(replace(after, reported=desk.reports.collect(job) or job.reported))
    desk.reports.forget(job)
    if not _runs_again(desk, ended, outcome):
        return [JobChange(job, ended, now)]
    # In one commit, or a daemon that dies in between would forget that the job runs again.
    again = desk.predictions.requeued(ended, now)
    if ended.state is JobState.PREEMPTED:
        again = again.with_loss(work_lost_s(ended))
    return [JobChange(job, ended, now), JobChange(ended, again, now, action="requeue")]


def _as_asked(desk: Desk, job: Job, outcome: Outcome) -> Outcome:
    """Take a stop whose reason a full disk kept from the shim for what was asked for."""
    if job.state is JobState.STOPPING and isinstance(outcome, Ended) and outcome.cause == "stopped":
        return replace(outcome, cause=cause_of_stop(desk, job))
    return outcome


def _with_rank(ended: Job) -> Job:
    """Say of a distributed job which rank ended it, as its launcher told."""
    told = ended.reported
    rank, code, number = (told.get(name) for name in ("failed_rank", "failed_exit_code", "failed_signal"))
    if ended.spec.launcher is None or ended.state is not JobState.FAILED or not isinstance(rank, int):
        return ended
    return replace(ended, cause=f"rank {rank}: {f'killed by signal {number}' if number else f'exit code {code}'}")


def work_lost_s(job: Job) -> float:
    """Return how long an ended attempt had worked since it last told of a checkpoint, in seconds."""
    if job.started_at is None or job.ended_at is None:
        return 0.0
    return max(0.0, job.ended_at - max(job.started_at, job.checkpoint_at or 0.0))


def _runs_again(desk: Desk, ended: Job, outcome: Outcome) -> bool:
    if isinstance(outcome, Ended) and outcome.cause in (REQUEUED, PREEMPTED):
        return True
    if isinstance(outcome, Unlaunched) and ended.state is JobState.CANCELLED:
        return cause_of_stop(desk, ended) in (REQUEUED, PREEMPTED)
    return ended.spec.requeue and ended.state in _RUN_AGAIN


def _store(desk: Desk, changes: list[JobChange]) -> list[Job]:
    """Save the changes and settle them together; return the jobs whose change was refused because they moved on."""
    if not changes:
        return []
    saved = desk.store.save(changes)
    done = [job for job in saved if job is not None]
    for job in done:
        log.info("job changed", extra={"action": f"job_{job.state}", "job": job.id, "why": job.cause})
    if done:
        desk.settle(done)
    moved = {change.before.id for change, job in zip(changes, saved, strict=True) if job is None}
    return [newest for job_id in sorted(moved) if (newest := refresh(desk, job_id)) is not None]


def _after(job: Job, outcome: Outcome, now: float) -> Job | None:  # noqa: PLR0911  one for each outcome
    """Return the job's value after this outcome, None when nothing changes."""
    if isinstance(outcome, Alive):
        return job.mark_running(outcome.pid, outcome.started_at) if job.state is JobState.STARTING else None
    if isinstance(outcome, Leftover):
        return None
    if isinstance(outcome, Unlaunched):
        surely = outcome.ready or job.started_at is None
        if job.state is JobState.STARTING or (job.state is JobState.RUNNING and surely):
            return job.mark_unstarted()
        if job.state is JobState.STOPPING and surely:
            return job.mark_ended(JobState.CANCELLED, now, cause="stopped before it was launched")
        # It was seen running, and its claim is gone: the machine lost what was not yet on disk.
        return job.mark_ended(JobState.INTERRUPTED, now, cause=_NO_TRACE)
    if isinstance(outcome, Ended):
        return _ended(job, outcome)
    if outcome.rebooted:
        return job.mark_ended(
            JobState.INTERRUPTED, now, started_at=outcome.started_at, cause="the node restarted while the job ran"
        )
    return job.mark_ended(
        JobState.LOST, now, started_at=outcome.started_at,
        cause="its shim was killed and left no exit record; how the job ended cannot be known",
    )  # fmt: skip


def _ended(job: Job, end: Ended) -> Job:
    return job.mark_ended(
        _state(end), end.ended_at, started_at=end.started_at, run_s=end.run_s,
        exit_code=end.exit_code, signal=end.signal, cause=_cause(end),
    )  # fmt: skip


def _state(end: Ended) -> JobState:
    if end.cause in _STATE_OF_CAUSE:
        return _STATE_OF_CAUSE[end.cause]
    return JobState.SUCCEEDED if end.exit_code == 0 else JobState.FAILED


def _cause(end: Ended) -> str | None:
    """Say in a few words why a job did not succeed; a failed job always has a cause."""
    if end.error:
        return end.error
    if end.cause == "signaled":
        return f"killed by signal {end.signal}"
    if end.cause == "stopped":
        return "its shim was told to stop: the node was shut down, or somebody ended the shim"
    if end.cause == "hung":
        return "hung: no report and no output for longer than --hang-after, and a rank that did nothing"
    if end.cause == "exited":
        return None if end.exit_code == 0 else f"exit code {end.exit_code}"
    return end.cause.replace("_", " ")
