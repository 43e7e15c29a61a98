"""Events: what happened to the hardware and to its telemetry, a row for each burst."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dcdaemon.core.event import Event, EventKind
from dcdaemon.store.schema import event

#: Evidence comes from many hands: what JSON does not know is written as text, what is no text as escapes.
_encoder = json.JSONEncoder(separators=(",", ":"), default=str)


def save(connection: Connection, *, node: str, told: Sequence[Event]) -> list[int]:
    """Store new events and the grown count of known ones; return their ids, in order."""
    return [_grown(connection, node, one) or _added(connection, node, one) for one in told]


def _grown(connection: Connection, node: str, one: Event) -> int | None:
    """Store the count of a known event; None when there is no such row: it is new, or a backup was put back."""
    if one.id is None:
        return None
    same = (event.c.id == one.id) & (event.c.node == node) & (event.c.kind == one.kind.value)
    found = update(event).where(same, event.c.subject == storable(one.subject)).values(count=one.count)
    return one.id if connection.execute(found).rowcount else None


def _added(connection: Connection, node: str, one: Event) -> int:
    row = {
        "node": node,
        "at": one.at,
        "kind": one.kind.value,
        "subject": storable(one.subject),
        "message": storable(one.message),
        "evidence": _encoder.encode(one.evidence),
        "gpu": one.gpu,
        "job_id": one.job_id,
        "count": one.count,
    }
    return int(connection.execute(insert(event).returning(event.c.id), row).scalar_one())


def storable(text: str) -> str:
    """Return the text as both databases take it: names of files and devices may hold any byte."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def find(
    connection: Connection, *, node: str, since: float | None, kinds: Sequence[EventKind], after_id: int, limit: int
) -> list[Event]:
    """Return the newest events that match, oldest first."""
    # A newer program may have told of kinds that this one has no word for.
    known = event.c.kind.in_([kind.value for kind in kinds or EventKind])
    statement = select(event).where(event.c.node == node, event.c.id > after_id, known)
    if since is not None:
        statement = statement.where(event.c.at >= since)
    newest = connection.execute(statement.order_by(event.c.id.desc()).limit(limit)).all()
    return [_event_of(row) for row in reversed(newest)]


def _event_of(row: Row[Any]) -> Event:
    # Row.count is a method of tuples, so the columns are asked for by name.
    of = row._mapping  # noqa: SLF001  public in spite of its name
    return Event(
        at=of["at"],
        kind=EventKind(of["kind"]),
        subject=of["subject"],
        message=of["message"],
        evidence=json.loads(of["evidence"]),
        gpu=of["gpu"],
        job_id=of["job_id"],
        count=of["count"],
        id=of["id"],
    )
