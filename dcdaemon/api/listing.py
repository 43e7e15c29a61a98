"""Lists of jobs with all that belongs to a line: usage, open anomalies, power now, and the reason for waiting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcdaemon.api.documents import Document, job_document
from dcdaemon.api.visible import shown_job
from dcdaemon.control.access import sees_only_own
from dcdaemon.control.desk import Desk
from dcdaemon.control.why import places, reasons
from dcdaemon.core.anomaly import Anomaly
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.job import ACTIVE, Job, JobState, Usage
from dcdaemon.core.ports import Actor, JobQuery
from dcdaemon.core.view import GpuBlock


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a listing is about; `ids` None when none were named, empty when those named are no jobs now."""

    ids: tuple[int, ...] | None
    states: frozenset[JobState]
    user: str | None
    name: str | None
    since_s: float | None
    limit: int
    all_states: bool = False


def list_jobs(desk: Desk, actor: Actor, wanted: Filter) -> tuple[list[Job], int]:
    """Return the jobs that match and may be seen, cut to the limit, and how many match in all where that is known."""
    if wanted.ids == ():
        return [], 0
    if wanted.ids or wanted.states or wanted.all_states or wanted.since_s is not None:
        since = None if wanted.since_s is None else desk.clock.now() - wanted.since_s
        query = JobQuery(
            ids=wanted.ids or (), states=wanted.states, user=wanted.user, name=wanted.name,
            submitted_since=since, limit=wanted.limit, uid=actor.uid if sees_only_own(desk, actor) else None,
        )  # fmt: skip
        jobs = desk.store.jobs(query)
        return jobs, len(jobs)
    order, jobs = places(desk), desk.book.unfinished()
    jobs = [
        job for job in jobs
        if wanted.user in {None, job.spec.user} and wanted.name in {None, job.spec.name} and desk.may_see(actor, job)
    ]  # fmt: skip
    jobs.sort(key=lambda job: (job.state is JobState.WAITING, job.held, order.get(job.id, len(order)), job.id))
    return jobs[: wanted.limit], len(jobs)


def listed(desk: Desk, actor: Actor, jobs: Sequence[Job], *, details: bool = True) -> list[Document]:
    """Return the documents of jobs as this reader sees them; without details only what the job itself knows."""
    now = desk.clock.now()
    if not details:
        return [shown_job(desk, actor, job, job_document(job, now)) for job in jobs]
    usage, anomalies = _from_store(desk, [job.id for job in jobs])
    why = reasons(desk, actor, [job.id for job in jobs if job.state is JobState.WAITING])
    power, on_loan = _power_now(desk), desk.book.lent()
    documents = []
    for job in jobs:
        reason, short = why.get(job.id, (None, None))
        known = anomalies.get(job.id, ())
        document = job_document(
            job, now, usage.get(job.id), known, reason, short, _power_w(job, power), lent=job.id in on_loan
        )
        documents.append(shown_job(desk, actor, job, document))
    return documents


def summary(desk: Desk) -> Document:
    """Return the counts of the line below the table."""
    waiting, held, active = desk.book.counts()
    slots = desk.book.node.gpus
    blocks = [slot.closed_by for slot in slots]
    return {
        "running": active, "waiting": waiting, "held": held, "gpus": len(slots), "gpus_busy": len(desk.book.holders()),
        "gpus_drained": blocks.count(GpuBlock.DRAINED), "gpus_foreign": blocks.count(GpuBlock.FOREIGN),
        "gpus_unhealthy": blocks.count(GpuBlock.HEALTH),
    }  # fmt: skip


def _from_store(desk: Desk, job_ids: list[int]) -> tuple[dict[int, Usage], dict[int, list[Anomaly]]]:
    """Return usage and anomalies of jobs; nothing is known of either while the database does not answer."""
    try:
        return desk.store.usage(job_ids), _open_anomalies(desk)
    except StoreUnavailable:
        return {}, {}


def _open_anomalies(desk: Desk) -> dict[int, list[Anomaly]]:
    found: dict[int, list[Anomaly]] = {}
    for anomaly in desk.store.anomalies(since=desk.clock.now() - 7 * 86400):
        if anomaly.finding.job_id is not None:
            found.setdefault(anomaly.finding.job_id, []).append(anomaly)
    return found


def _power_now(desk: Desk) -> dict[int, float | None]:
    return {sample.gpu: sample.power_w for sample in desk.board.gpus.samples}


def _power_w(job: Job, power: Mapping[int, float | None]) -> float | None:
    """Return what an active job's GPUs draw together; unknown when it is unknown of one of them."""
    if job.state not in ACTIVE or not job.gpus:
        return None
    known = [watts for gpu in job.gpus if (watts := power.get(gpu)) is not None]
    return sum(known) if len(known) == len(job.gpus) else None
