"""What jobs reported."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from dcdaemon.core.ports import Report
from dcdaemon.store.job_rows import dump
from dcdaemon.store.schema import report


def add_reports(connection: Connection, node: str, reports: Sequence[Report]) -> None:
    """Keep what jobs reported, in the order given."""
    rows = [
        {"node": node, "job_id": line.job_id, "attempt": line.attempt, "at": line.at, "step": line.step,
         "reported": dump(dict(line.values))}
        for line in reports
    ]  # fmt: skip
    if rows:
        connection.execute(insert(report), rows)


def report_count(connection: Connection, job_id: int, attempt: int | None) -> int:
    """Return how many lines one job, or one attempt of it, reported."""
    statement = select(func.count()).select_from(report).where(report.c.job_id == job_id)
    if attempt is not None:
        statement = statement.where(report.c.attempt == attempt)
    return int(connection.execute(statement).scalar_one())


def reports_of(connection: Connection, job_id: int) -> list[Report]:
    """Return what one job reported, oldest first."""
    statement = select(report).where(report.c.job_id == job_id).order_by(report.c.id)
    return [
        Report(row.job_id, row.attempt, row.at, row.step, json.loads(row.reported))
        for row in connection.execute(statement)
    ]
