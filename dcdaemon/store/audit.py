"""The audit table: who did what to which job or GPU."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from dcdaemon.core.ports import DAEMON, Actor, AuditRow
from dcdaemon.store.job_rows import dump
from dcdaemon.store.schema import audit

_ADD = insert(audit)


def audit_row(
    node: str,
    at: float,
    actor: Actor | None,
    action: str,
    job_id: int | None = None,
    detail: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Return a row; without an actor it was the daemon itself."""
    who = actor or DAEMON
    return {
        "node": node,
        "at": at,
        "uid": who.uid,
        "user_name": who.user,
        "via": who.via,
        "action": action,
        "job_id": job_id,
        "detail": dump(detail or {}),
    }


def add_audit(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows made by audit_row()."""
    connection.execute(_ADD, list(rows))


def audit_rows(connection: Connection, since: float | None, job_id: int | None) -> list[AuditRow]:
    """Return the rows, oldest first."""
    statement = select(audit).order_by(audit.c.id)
    if since is not None:
        statement = statement.where(audit.c.at >= since)
    if job_id is not None:
        statement = statement.where(audit.c.job_id == job_id)
    return [
        AuditRow(row.at, row.uid, row.user_name, row.via, row.action, row.job_id, json.loads(row.detail))
        for row in connection.execute(statement)
    ]
