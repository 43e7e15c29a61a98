"""Events over HTTP: what happened to the hardware and to its telemetry, the oldest first."""

from typing import Annotated

from fastapi import APIRouter, Query

from dcdaemon.api.documents import SCHEMA, Document, iso, jsonable
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.ledger import Since
from dcdaemon.api.visible import shown_event
from dcdaemon.control.access import jobs_by_id, sees_only_own
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.secrecy import mask_facts, mask_text

router = APIRouter(prefix="/v1", tags=["events"])


@router.get("/events")
def get_events(
    desk: DeskOf,
    actor: ActorOf,
    kind: Annotated[list[EventKind], Query()] = [],  # noqa: B006  FastAPI copies defaults
    since_s: Since = None,
    after_id: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Document:
    """List the newest events, the oldest of them first; go on with `after_id`, the id of the last one seen."""
    since = None if since_s is None else desk.clock.now() - since_s
    found = desk.store.events(since=since, kinds=kind, after_id=after_id, limit=limit)
    jobs = jobs_by_id(desk, (event.job_id for event in found)) if sees_only_own(desk, actor) else {}
    shown = (shown_event(desk, actor, one, event_document(one), jobs.get(one.job_id or 0)) for one in found)
    return {"schema": SCHEMA, "events": list(shown)}


def event_document(event: Event) -> Document:
    """Return one event with its evidence; `count` is how often it happened in one burst."""
    return {
        "id": event.id, "at": iso(event.at), "kind": event.kind.value, "subject": event.subject,
        "message": mask_text(event.message), "evidence": mask_facts(jsonable(event.evidence)), "gpu": event.gpu,
        "job_id": event.job_id, "count": event.count,
    }  # fmt: skip
