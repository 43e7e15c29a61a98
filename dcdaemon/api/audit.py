"""The audit over HTTP: who changed what, from where, and how it was before and after."""

from typing import Annotated

from fastapi import APIRouter, Query

from dcdaemon.api.documents import SCHEMA, Document, iso, jsonable
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.ledger import Since
from dcdaemon.control.audit import find_audit
from dcdaemon.control.select import resolve
from dcdaemon.core.audit import AuditQuery, AuditRow
from dcdaemon.core.secrecy import mask_facts

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/audit")
def get_audit(  # noqa: PLR0913  each is one filter of `dcd audit`
    desk: DeskOf,
    actor: ActorOf,
    sel: Annotated[list[str], Query()] = [],  # noqa: B006  FastAPI copies defaults
    user: str | None = None,
    action: str | None = None,
    since_s: Since = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> Document:
    """List the newest changes, the oldest of them first: all for operators, for a user those he made himself."""
    ids = tuple(resolve(desk, actor, sel))
    since = None if since_s is None else desk.clock.now() - since_s
    rows = find_audit(desk, actor, AuditQuery(since, ids, None, user, action, limit))
    return {"schema": SCHEMA, "audit": [audit_document(row) for row in rows]}


def audit_document(row: AuditRow) -> Document:
    """Return one change; what an old row told in one piece stands in `detail`."""
    return {
        "id": row.id, "at": iso(row.at), "user": row.user, "uid": row.uid, "via": row.via, "from": row.peer,
        "token": row.token, "action": row.action, "subject": row.subject, "job_id": row.job_id,
        "before": _told(row.before), "after": _told(row.after), "detail": _told(row.detail),
    }  # fmt: skip


def _told(facts: object) -> object:
    return None if facts is None else mask_facts(jsonable(facts))
