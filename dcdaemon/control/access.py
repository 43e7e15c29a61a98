"""Who sees which job: the one place that listings, events, anomalies and selectors ask."""

from collections.abc import Iterable, Sequence

from dcdaemon.control.desk import Desk, no_such_job
from dcdaemon.control.together import find
from dcdaemon.core.access import Visibility
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor, JobQuery


def find_seen(desk: Desk, actor: Actor, job_id: int) -> Job:
    """Return a job that the actor may know of; raise NotFound, the same way for one that is hidden."""
    job = find(desk, job_id)
    if not desk.may_see(actor, job):
        raise no_such_job(job_id)
    return job


def sees_only_own(desk: Desk, actor: Actor) -> bool:
    """Say whether other users' jobs are hidden from the actor altogether."""
    return desk.rules.visibility is Visibility.OWN and not actor.operator


def seen_ids(desk: Desk, actor: Actor, ids: Sequence[int]) -> Sequence[int]:
    """Return those of these jobs that the actor may know of, in the same order."""
    if not ids or not sees_only_own(desk, actor):
        return ids
    seen = {job.id for job in desk.store.jobs(JobQuery(ids=tuple(ids))) if desk.may_see(actor, job)}
    return [job_id for job_id in ids if job_id in seen]


def jobs_by_id(desk: Desk, ids: Iterable[int | None]) -> dict[int, Job]:
    """Return the jobs of these ids that are known."""
    wanted = tuple({job_id for job_id in ids if job_id is not None})
    return {job.id: job for job in desk.store.jobs(JobQuery(ids=wanted))} if wanted else {}
