"""Documents as somebody else than the owner sees them: what is left of a job, an anomaly, an event."""

from collections.abc import Mapping

from dcdaemon.api.documents import Document, anomaly_document
from dcdaemon.control.access import sees_only_own
from dcdaemon.control.desk import Desk
from dcdaemon.core.anomaly import Anomaly
from dcdaemon.core.event import Event
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor

#: What a job runs and how it ended is its owner's and the operators': each key with what stands there for others.
PRIVATE: Mapping[str, object] = {
    "argv": [], "cwd": None, "log_path": None, "exit_code": None, "signal": None, "cause": None, "reported": {},
    "reports": None, "pids": [], "timeline": [],
}  # fmt: skip
_HIDDEN = "its owner and operators see more"


def shown_job(desk: Desk, actor: Actor, job: Job, document: Document) -> Document:
    """Return a job's document for this reader; `private` tells that something was left out."""
    private = not desk.may_see_details(actor, job)
    kept = {key: PRIVATE[key] if private and key in PRIVATE else value for key, value in document.items()}
    return {**kept, "private": private}


def shown_anomaly(desk: Desk, actor: Actor, anomaly: Anomaly, job: Job | None) -> Document | None:
    """Return an anomaly for this reader, None where it is about a job that the reader may not know of."""
    document = anomaly_document(anomaly, actor)
    if anomaly.finding.job_id is None:
        return document
    if job is None:
        return None if sees_only_own(desk, actor) else document
    if desk.may_see_details(actor, job):
        return document
    if not desk.may_see(actor, job):
        return None
    message = f"{anomaly.finding.rule.replace('_', ' ')}: {anomaly.finding.subject} ({_HIDDEN})"
    return {**document, "message": message, "evidence": {}}


def shown_event(desk: Desk, actor: Actor, event: Event, document: Document, job: Job | None) -> Document:
    """Return an event of the hardware; the job that it struck is left out where the reader may not know of it."""
    if event.job_id is None or not sees_only_own(desk, actor) or (job is not None and desk.may_see(actor, job)):
        return document
    return {**document, "message": f"{event.kind.value} on {event.subject}", "evidence": {}, "job_id": None}
