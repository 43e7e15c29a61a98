"""Events over HTTP: what happened to the hardware and to its telemetry, the oldest first."""

from typing import Annotated

from fastapi import APIRouter, Query

from dcdaemon.api.documents import SCHEMA, Document, iso, jsonable
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.ledger import Since
from dcdaemon.core.event import Event, EventKind

router = APIRouter(prefix="/v1", tags=["events"])


@router.get("/events")
def get_events(
    desk: DeskOf,
    _: ActorOf,
    kind: Annotated[list[EventKind], Query()] = [],  # noqa: B006  FastAPI copies defaults
    since_s: Since = None,
    after_id: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Document:
    """List the newest events, the oldest of them first; go on with `after_id`, the id of the last one seen."""
    since = None if since_s is None else desk.clock.now() - since_s
    found = desk.store.events(since=since, kinds=kind, after_id=after_id, limit=limit)
    return {"schema": SCHEMA, "events": [event_document(event) for event in found]}


def event_document(event: Event) -> Document:
    """Return one event with its evidence; `count` is how often it happened in one burst."""
    return {
        "id": event.id, "at": iso(event.at), "kind": event.kind.value, "subject": event.subject,
        "message": event.message, "evidence": jsonable(event.evidence), "gpu": event.gpu, "job_id": event.job_id,
        "count": event.count,
    }  # fmt: skip
