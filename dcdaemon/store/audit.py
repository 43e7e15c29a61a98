"""The audit table: who did what to which job, GPU, booking or token; rows are added and never changed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select

from dcdaemon.core.audit import AuditQuery, AuditRow, Change
from dcdaemon.core.ports import DAEMON, Actor
from dcdaemon.store.job_rows import dump
from dcdaemon.store.schema import audit

_ADD = insert(audit)


def audit_row(node: str, at: float, actor: Actor | None, change: Change) -> dict[str, Any]:
    """Return a row; without an actor it was the daemon itself."""
    who = actor or DAEMON
    return {
        "node": node,
        "at": at,
        "uid": who.uid,
        "user_name": who.user,
        "via": who.via,
        "peer": who.peer,
        "token": who.token,
        "action": change.action,
        "job_id": change.job_id,
        "subject": change.subject,
        "before": _dumped(change.before),
        "after": _dumped(change.after),
        "detail": dump(change.detail),
    }


def add_audit(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows made by audit_row()."""
    connection.execute(_ADD, list(rows))


def audit_rows(connection: Connection, since: float | None, job_id: int | None) -> list[AuditRow]:
    """Return the rows of all nodes, oldest first."""
    query = AuditQuery(since=since, job_ids=() if job_id is None else (job_id,))
    return _rows(connection, select(audit).where(*_conditions(query)).order_by(audit.c.id))


def find(connection: Connection, node: str, query: AuditQuery) -> list[AuditRow]:
    """Return the newest rows of a node that match, oldest first."""
    statement = select(audit).where(audit.c.node == node, *_conditions(query)).order_by(audit.c.id.desc())
    return _rows(connection, statement if query.limit is None else statement.limit(query.limit))[::-1]


def _conditions(query: AuditQuery) -> Iterator[ColumnElement[bool]]:
    if query.since is not None:
        yield audit.c.at >= query.since
    if query.job_ids:
        yield audit.c.job_id.in_(query.job_ids)
    if query.uid is not None:
        yield audit.c.uid == query.uid
    if query.user is not None:
        yield audit.c.user_name == query.user
    if query.action is not None:
        yield audit.c.action == query.action


def _rows(connection: Connection, statement: Select[Any]) -> list[AuditRow]:
    return [_row_of(row) for row in connection.execute(statement)]


def _row_of(row: Row[Any]) -> AuditRow:
    return AuditRow(
        at=row.at, uid=row.uid, user=row.user_name, via=row.via, action=row.action, job_id=row.job_id,
        detail=json.loads(row.detail), id=row.id, peer=row.peer, token=row.token, subject=row.subject,
        before=_loaded(row.before), after=_loaded(row.after),
    )  # fmt: skip


def _dumped(facts: Mapping[str, object] | None) -> str | None:
    return None if facts is None else dump(facts)


def _loaded(text: str | None) -> Mapping[str, object] | None:
    facts: Mapping[str, object] | None = None if text is None else json.loads(text)
    return facts
