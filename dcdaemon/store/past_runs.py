"""The last runs, with no more of each than a prediction is learned from."""

import json
from typing import Any

from sqlalchemy import Connection, Row, select

from dcdaemon.core.job import ENDED, JobState
from dcdaemon.core.prediction import PastPeak, PastRun
from dcdaemon.store.schema import job, usage

#: The index on the end is walked backwards: the cost is that of the rows returned, however many there are.
_LAST = (
    select(
        job.c.user_name, job.c.argv, job.c.asked_gpus, job.c.limit_s, job.c.state, job.c.run_s,
        job.c.predicted_s, job.c.predicted_by,
    )
    .where(
        job.c.ended_at.is_not(None), job.c.run_s.is_not(None), job.c.state.in_(sorted(state.value for state in ENDED))
    )
    .order_by(job.c.ended_at.desc(), job.c.id.desc())
)  # fmt: skip


def last(connection: Connection, most: int) -> list[PastRun]:
    """Return the last runs, the oldest first."""
    newest_first = connection.execute(_LAST.limit(most)).all()
    return [_run(row) for row in reversed(newest_first)]


def peaks(connection: Connection, user: str, most: int) -> list[PastPeak]:
    """Return the known memory peaks of a user's runs on one GPU that ended well, the newest first.

    Only the last `most` jobs of the user are looked at: the cost does not grow with the history.
    """
    last = select(job).where(job.c.user_name == user).order_by(job.c.id.desc()).limit(most).subquery()
    statement = (
        select(last.c.argv, usage.c.mem_peak_bytes)
        .join(usage, usage.c.job_id == last.c.id)
        .where(
            last.c.state == JobState.SUCCEEDED.value, last.c.asked_gpus == 1, usage.c.mem_peak_bytes.is_not(None)
        )
        .order_by(last.c.ended_at.desc(), last.c.id.desc())
    )  # fmt: skip
    return [PastPeak(tuple(json.loads(row.argv)), row.mem_peak_bytes) for row in connection.execute(statement)]


def _run(row: Row[Any]) -> PastRun:
    return PastRun(
        row.user_name, tuple(json.loads(row.argv)), row.asked_gpus, row.limit_s, JobState(row.state), row.run_s,
        row.predicted_s, row.predicted_by,
    )  # fmt: skip
