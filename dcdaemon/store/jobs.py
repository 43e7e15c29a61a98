"""Jobs: submit, change under a version check, look up; GPUs are taken and given back on the way."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from dcdaemon.core.job import ACTIVE, UNFINISHED, Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, JobChange, JobQuery
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.job_rows import job_of, new_job, row_of
from dcdaemon.store.schema import allocation, job
from dcdaemon.store.upsert import insert_into

#: Ids in one IN (...): well below what either database takes.
_IDS_AT_ONCE = 5000

_SUBMIT_ONE = insert(job).returning(job.c.id)
_SUBMIT_MANY = insert(job).returning(job.c.id, sort_by_parameter_order=True)
_REPLACE = update(job).where(job.c.id == bindparam("its_id"), job.c.version == bindparam("its_version"))
_GIVE_BACK = delete(allocation).where(
    allocation.c.node == bindparam("its_node"),
    allocation.c.gpu == bindparam("its_gpu"),
    allocation.c.job_id == bindparam("its_id"),
)
_ALL = select(job)
_ONE = select(job).where(job.c.id == bindparam("its_id"))

Slot = tuple[str, int]  # node, GPU


def submit(connection: Connection, specs: Sequence[JobSpec], node: str, at: float, actor: Actor) -> list[Job]:
    """Insert new waiting jobs and return them in order."""
    if not specs:
        return []
    rows = [row_of(new_job(0, spec, node, at)) for spec in specs]
    if len(rows) == 1:
        ids: Sequence[int] = [connection.execute(_SUBMIT_ONE, rows[0]).scalar_one()]
    else:
        ids = connection.execute(_SUBMIT_MANY, rows).scalars().all()
    add_audit(connection, [audit_row(node, at, actor, "submit", job_id) for job_id in ids])
    return [new_job(job_id, spec, node, at) for job_id, spec in zip(ids, specs, strict=True)]


def save(connection: Connection, changes: Sequence[JobChange]) -> list[Job | None]:
    """Apply each change on its own; None where the version had moved or a GPU was taken."""
    return [_apply(connection, change) for change in changes]


def _apply(connection: Connection, change: JobChange) -> Job | None:
    before, after = change.before, change.after
    gained, lost = _held(after) - _held(before), _held(before) - _held(after)
    if not _replace(connection, before, after):
        return None
    if not _take(connection, after.id, gained):
        _replace(connection, after, before)
        return None
    _give_back(connection, after.id, lost)
    if change.action is not None:
        detail = {"from": before.state.value, "to": after.state.value}
        add_audit(connection, [audit_row(after.node, change.at, change.actor, change.action, after.id, detail)])
    return after


def _held(a_job: Job) -> set[Slot]:
    return {(a_job.node, gpu) for gpu in a_job.gpus} if a_job.state in ACTIVE else set()


def _take(connection: Connection, job_id: int, slots: set[Slot]) -> bool:
    """Take all slots or none."""
    if not slots:
        return True
    rows = [{"node": node, "gpu": gpu, "job_id": job_id} for node, gpu in sorted(slots)]
    taken = connection.execute(_take_statement(connection.dialect.name), rows).all()
    if len(taken) < len(rows):
        _give_back(connection, job_id, {(node, gpu) for node, gpu in taken})
        return False
    return True


@functools.cache
def _take_statement(dialect: str) -> Insert:
    statement: Insert = insert_into(dialect, allocation).on_conflict_do_nothing()
    return statement.returning(allocation.c.node, allocation.c.gpu)


def _give_back(connection: Connection, job_id: int, slots: set[Slot]) -> None:
    if slots:
        rows = [{"its_node": node, "its_gpu": gpu, "its_id": job_id} for node, gpu in sorted(slots)]
        connection.execute(_GIVE_BACK, rows)


def _replace(connection: Connection, before: Job, after: Job) -> bool:
    values = row_of(after) | {"its_id": before.id, "its_version": before.version}
    return connection.execute(_REPLACE, values).rowcount == 1


def find_one(connection: Connection, job_id: int) -> Job | None:
    """Return one job, or None."""
    row = connection.execute(_ONE, {"its_id": job_id}).one_or_none()
    return job_of(row) if row else None


def find(connection: Connection, query: JobQuery) -> list[Job]:
    """Return the jobs that match."""
    statement = _ALL.where(*_conditions(query))
    statement = statement.order_by(job.c.id if query.oldest_first else job.c.id.desc())
    if query.limit is not None:
        statement = statement.limit(query.limit)
    return [job_of(row) for row in connection.execute(statement)]


def _conditions(query: JobQuery) -> Iterator[ColumnElement[bool]]:
    if query.ids:
        yield job.c.id.in_(query.ids)
    if query.states:
        yield job.c.state.in_(sorted(state.value for state in query.states))
    if query.uid is not None:
        yield job.c.uid == query.uid
    if query.user is not None:
        yield job.c.user_name == query.user
    if query.name is not None:
        yield job.c.name == query.name
    if query.submitted_since is not None:
        yield job.c.submitted_at >= query.submitted_since
    if query.ended_since is not None:
        yield job.c.ended_at >= query.ended_since


def states(connection: Connection, job_ids: Iterable[int]) -> dict[int, JobState]:
    """Return the state of each known id."""
    columns = select(job.c.id, job.c.state)
    return {row.id: JobState(row.state) for row in select_by_id(connection, columns, job.c.id, job_ids)}


def env_refs(connection: Connection, ended_since: float) -> set[str]:
    """Return the environments of all jobs that are unfinished or ended since then."""
    # Told by the state: a job that waits to run again still shows when it last ended.
    unfinished = job.c.state.in_(sorted(state.value for state in UNFINISHED))
    needed = select(job.c.env_ref).where(or_(unfinished, job.c.ended_at >= ended_since)).distinct()
    return set(connection.execute(needed).scalars())


def select_by_id(
    connection: Connection, statement: Select[Any], column: ColumnElement[int], ids: Iterable[int]
) -> Iterator[Any]:
    """Yield the rows whose column is one of the ids, however many those are."""
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        yield from connection.execute(statement.where(column.in_(wanted[start : start + _IDS_AT_ONCE])))
