"""Finish: learn what became of active jobs and write down their true ends; used at each end and after a restart."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from dcdaemon.control.change import refresh
from dcdaemon.control.desk import Desk
from dcdaemon.control.submit import learn_dependencies
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
    "start_failed": JobState.FAILED,
    "shim_error": JobState.FAILED,
}
_RUN_AGAIN = frozenset({JobState.INTERRUPTED, JobState.PREEMPTED})


def load(desk: Desk) -> None:
    """Fill the book from the store and take over what an earlier daemon started."""
    jobs = desk.store.jobs(JobQuery(states=UNFINISHED, oldest_first=True))
    desk.book.learn(desk.store.states({dep for job in jobs for dep in job.spec.after}))
    for job in jobs:
        desk.book.put(job)
    reconcile(desk, [job.id for job in jobs if job.state in ACTIVE], restart=True)


def reconcile(desk: Desk, job_ids: Iterable[int], *, restart: bool = False) -> list[Job]:
    """Compare each active job with what its engine knows, store what changed; return jobs that need another look."""
    changes: list[JobChange] = []
    again: list[Job] = []
    requeued: set[int] = set()
    for job_id in job_ids:
        job = desk.book.get(job_id)
        if job is None or job.state not in ACTIVE:
            continue
        outcome = desk.engine.adopt(job)
        if isinstance(outcome, Ended) and outcome.cause == "requeued":
            requeued.add(job.id)
        after = _after(job, outcome, desk.clock.now())
        if after is not None and after.state in ENDED:
            after = replace(after, reported={**job.reported, **desk.reports.collect(job)})
            desk.reports.forget(job)
        if after is not None:
            changes.append(JobChange(job, after, desk.clock.now()))
        if isinstance(outcome, Leftover):
            again.append(job)
        if restart and isinstance(outcome, Alive) and job.state is JobState.STOPPING:
            desk.engine.stop(job, "TERM", job.spec.grace_s, "cancelled")
    return again + _store(desk, changes, requeued)


def _store(desk: Desk, changes: list[JobChange], requeued: set[int]) -> list[Job]:
    """Save the changes; run again what asks for it; return the jobs whose change was refused because they moved on."""
    moved = []
    if not changes:
        return []
    for change, saved in zip(changes, desk.store.save(changes), strict=True):
        if saved is None:
            newest = refresh(desk, change.before.id)
            moved += [newest] if newest is not None else []
            continue
        log.info("job changed", extra={"action": f"job_{saved.state}", "job": saved.id, "why": saved.cause})
        desk.settle([saved])
        if saved.id in requeued or (saved.spec.requeue and saved.state in _RUN_AGAIN):
            _run_again(desk, saved)
    return moved


def _run_again(desk: Desk, ended: Job) -> None:
    now = desk.clock.now()
    [saved] = desk.store.save([JobChange(ended, ended.mark_requeued(now), now, action="requeue")])
    if saved is not None:
        learn_dependencies(desk, [saved])
        desk.settle([saved])


def _after(job: Job, outcome: Outcome, now: float) -> Job | None:
    """Return the job's value after this outcome, None when nothing changes."""
    if isinstance(outcome, Alive):
        return job.mark_running(outcome.pid, outcome.started_at) if job.state is JobState.STARTING else None
    if isinstance(outcome, Leftover):
        return None
    if isinstance(outcome, Unlaunched):
        if job.state is JobState.STARTING:
            return job.mark_unstarted()
        if job.state is JobState.STOPPING and job.started_at is None:
            return job.mark_ended(JobState.CANCELLED, now, cause="stopped before it was launched")
        # It was seen running, and its claim is gone: the machine lost what was not yet on disk.
        return job.mark_ended(JobState.INTERRUPTED, now, cause="the node lost power while the job ran")
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
    if end.cause == "exited":
        return None if end.exit_code == 0 else f"exit code {end.exit_code}"
    return end.cause.replace("_", " ")
