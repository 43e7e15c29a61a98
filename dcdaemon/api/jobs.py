"""Jobs over HTTP: submit, list, show, why, reports, and the verbs that change them."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated

from fastapi import APIRouter, Query, status

from dcdaemon.api.bodies import ChangeBody, SubmitBody, UpdateBody
from dcdaemon.api.documents import SCHEMA, Document, iso, reason_document
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.listing import Filter, list_jobs, listed, summary
from dcdaemon.api.visible import shown_anomaly, shown_job
from dcdaemon.control import change
from dcdaemon.control.access import find_seen
from dcdaemon.control.desk import Desk
from dcdaemon.control.select import resolve
from dcdaemon.control.submit import check, submit
from dcdaemon.control.together import Changed
from dcdaemon.control.update import update_all
from dcdaemon.control.why import short_whys, why
from dcdaemon.core.errors import BadInput
from dcdaemon.core.job import SLURM_CODES, Job, JobState
from dcdaemon.core.ports import Actor
from dcdaemon.core.secrecy import mask_facts

router = APIRouter(prefix="/v1", tags=["jobs"])
_EXPLAIN_AT_MOST = 20


@router.post("/jobs", status_code=status.HTTP_201_CREATED)
def submit_jobs(body: SubmitBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Queue jobs: all of them or none; what is answered is durable. `argv` of an array stands with its first job."""
    wishes = [job.wish() for job in body.jobs]
    if body.dry_run:
        specs = check(desk, actor, wishes, body.env)
        return {"schema": SCHEMA, "jobs": [], "accepted": len(specs), "starts": []}
    jobs = submit(desk, actor, wishes, body.env)
    starts = short_whys(desk, actor, [job.id for job in jobs[:_EXPLAIN_AT_MOST]]) if body.explain else []
    return {"schema": SCHEMA, "jobs": _queued(desk, actor, jobs), "starts": starts}


def _queued(desk: Desk, actor: Actor, jobs: Sequence[Job]) -> list[Document]:
    """Return the new jobs, and an array's command line once: a short request must not have an answer without end."""
    documents = listed(desk, actor, jobs, details=False)
    repeats = (job.spec.array_id not in {None, job.id} for job in jobs)
    return [{**document, "argv": []} if again else document for document, again in zip(documents, repeats, strict=True)]


@router.get("/jobs")
def get_jobs(  # noqa: PLR0913  each is one filter of the listing
    desk: DeskOf,
    actor: ActorOf,
    sel: Annotated[list[str], Query()] = [],  # noqa: B006  FastAPI copies defaults
    state: Annotated[list[str], Query()] = [],  # noqa: B006
    user: str | None = None,
    name: str | None = None,
    since_s: float | None = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 500,
    *,
    all: bool = False,  # noqa: A002  the word of the command line
) -> Document:
    """List jobs: the unfinished ones unless a filter says otherwise; `sel` takes ids, ranges, `name:TEXT`."""
    ids = resolve(desk, actor, sel) if sel else None
    wanted = Filter(ids, frozenset(parse_state(word) for word in state), user, name, since_s, limit, all_states=all)
    jobs, total = list_jobs(desk, actor, wanted)
    return {
        "schema": SCHEMA,
        "jobs": listed(desk, actor, jobs),
        "summary": {**summary(desk), "shown": len(jobs), "total": total},
    }


def parse_state(word: str) -> JobState:
    """Return the state a word or a Slurm code names; raise BadInput."""
    if word.upper() in SLURM_CODES:
        return SLURM_CODES[word.upper()]
    try:
        return JobState(word.lower())
    except ValueError:
        raise BadInput(
            f"{word!r} is no job state", f"one of {', '.join(JobState)} or {', '.join(SLURM_CODES)}"
        ) from None


@router.get("/jobs/{job_id}")
def get_job(job_id: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Tell everything about one job."""
    job = find_seen(desk, actor, job_id)
    anomalies = (shown_anomaly(desk, actor, anomaly, job) for anomaly in desk.store.anomalies(job_id=job_id))
    document = {
        **listed(desk, actor, [job])[0],
        "timeline": timeline(desk, job),
        "anomalies": [anomaly for anomaly in anomalies if anomaly is not None],
        "reports": desk.store.report_count(job_id),
        "pids": list(desk.engine.pids(job)) if job.pid is not None and job.ended_at is None else [],
    }
    return shown_job(desk, actor, job, document)


def timeline(desk: Desk, job: Job) -> list[Document]:
    """Return what happened to a job, in order."""
    happened = [(row.at, f"{row.action} by {row.user}") for row in desk.store.audit(job_id=job.id)]
    for at, what in ((job.started_at, f"started, attempt {job.attempt}"), (job.ended_at, f"ended: {job.state}")):
        if at is not None:
            happened.append((at, what))
    return [{"at": iso(at), "what": what} for at, what in sorted(happened, key=itemgetter(0))]


@router.get("/jobs/{job_id}/why")
def why_job(job_id: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Tell why a job does not run now, and what would start it."""
    job = find_seen(desk, actor, job_id)
    return reason_document(job, why(desk, job, actor))


@router.get("/jobs/{job_id}/reports")
def get_reports(job_id: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Return what a job reported about its training, to its owner and to operators."""
    desk.check_rights(actor, find_seen(desk, actor, job_id), "read the reports of")
    return {
        "schema": SCHEMA,
        "reports": [
            {
                "at": iso(report.at),
                "attempt": report.attempt,
                "step": report.step,
                "values": mask_facts(dict(report.values)),
            }
            for report in desk.store.reports(job_id)
        ],
    }


@router.post("/jobs/cancel")
def cancel_jobs(body: ChangeBody, desk: DeskOf, actor: ActorOf) -> Document:
    """End jobs: waiting ones at once, active ones by signal, grace, KILL."""
    changed = change.cancel_all(desk, actor, _selected(desk, actor, body), body.signal, body.grace_s)
    return _changed(desk, actor, changed)


@router.post("/jobs/hold")
def hold_jobs(body: ChangeBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Keep waiting jobs from starting."""
    return _changed(desk, actor, change.hold_all(desk, actor, _selected(desk, actor, body)))


@router.post("/jobs/release")
def release_jobs(body: ChangeBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Let held jobs start again."""
    return _changed(desk, actor, change.release_all(desk, actor, _selected(desk, actor, body)))


@router.post("/jobs/requeue")
def requeue_jobs(body: ChangeBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Run jobs again."""
    return _changed(desk, actor, change.requeue_all(desk, actor, _selected(desk, actor, body)))


@router.post("/jobs/update")
def update_jobs(body: UpdateBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Change what waiting jobs asked for; what is left out stays. `first` puts them before all others that wait."""
    return _changed(desk, actor, update_all(desk, actor, _selected(desk, actor, body), body.update()))


def _selected(desk: Desk, actor: Actor, body: ChangeBody | UpdateBody) -> Sequence[int]:
    return list(dict.fromkeys(resolve(desk, actor, body.select, body.name)))


def _changed(desk: Desk, actor: Actor, changed: Changed) -> Document:
    refused = [
        {"id": job_id, "code": error.code, "message": error.message, "hint": error.hint}
        for job_id, error in changed.refused
    ]
    return {"schema": SCHEMA, "jobs": listed(desk, actor, changed.jobs, details=False), "refused": refused}
