"""Anomalies: raised once, cleared once, acknowledged by somebody."""

import functools
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Row, select, update

from dcdaemon.core.anomaly import Anomaly, Finding, Severity
from dcdaemon.core.audit import acknowledged
from dcdaemon.core.ports import Actor
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.job_rows import dump
from dcdaemon.store.schema import anomaly
from dcdaemon.store.upsert import insert_into


def raise_all(
    connection: Connection, node: str, findings: Sequence[Finding], at: float, *, momentary: bool
) -> list[Anomaly]:
    """Store and return the findings that are not open already."""
    cleared_at = at if momentary else None
    raised = []
    for finding in findings:
        row = {**_row(node, finding), "raised_at": at, "cleared_at": cleared_at}
        new_id = connection.execute(_raise_statement(connection.dialect.name), row).scalar_one_or_none()
        if new_id is not None:
            raised.append(Anomaly(new_id, node, finding, at, cleared_at))
    return raised


@functools.cache
def _raise_statement(dialect: str) -> Insert:
    statement: Insert = insert_into(dialect, anomaly).on_conflict_do_nothing()
    return statement.returning(anomaly.c.id)


def _row(node: str, finding: Finding) -> dict[str, Any]:
    return {
        "node": node,
        "rule": finding.rule,
        "subject": finding.subject,
        "severity": finding.severity.value,
        "message": finding.message,
        "evidence": dump(finding.evidence),
        "job_id": finding.job_id,
        "gpu": finding.gpu,
    }


def clear(connection: Connection, ids: Sequence[int], at: float) -> None:
    """Close those that are open still."""
    still_open = anomaly.c.id.in_(ids) & anomaly.c.cleared_at.is_(None)
    connection.execute(update(anomaly).where(still_open).values(cleared_at=at))


def acknowledge(connection: Connection, node: str, anomaly_id: int, at: float, actor: Actor) -> bool:
    """Note who has seen it; False when there is no such anomaly."""
    before = connection.execute(select(anomaly.c.acked_by).where(anomaly.c.id == anomaly_id)).one_or_none()
    if before is None:
        return False
    connection.execute(update(anomaly).where(anomaly.c.id == anomaly_id).values(acked_by=actor.user, acked_at=at))
    change = acknowledged(anomaly_id, before.acked_by, actor.user)
    add_audit(connection, [audit_row(node, at, actor, change)])
    return True


def find(connection: Connection, *, since: float | None, open_only: bool, job_id: int | None) -> list[Anomaly]:
    """Return anomalies, newest first."""
    statement = select(anomaly).order_by(anomaly.c.id.desc())
    if since is not None:
        statement = statement.where(anomaly.c.raised_at >= since)
    if open_only:
        statement = statement.where(anomaly.c.cleared_at.is_(None))
    if job_id is not None:
        statement = statement.where(anomaly.c.job_id == job_id)
    return [_anomaly_of(row) for row in connection.execute(statement)]


def _anomaly_of(row: Row[Any]) -> Anomaly:
    finding = Finding(
        rule=row.rule,
        subject=row.subject,
        severity=Severity(row.severity),
        message=row.message,
        evidence=json.loads(row.evidence),
        job_id=row.job_id,
        gpu=row.gpu,
    )
    return Anomaly(row.id, row.node, finding, row.raised_at, row.cleared_at, row.acked_by)
