"""Jobs: submit, change under a version check, look up; GPUs are taken and given back on the way."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from dcdaemon.core.audit import job_change, submission
from dcdaemon.core.job import UNFINISHED, Fate, Job, JobSpec, JobState, placed
from dcdaemon.core.new_job import new_job
from dcdaemon.core.ports import Actor, JobChange, JobQuery
from dcdaemon.core.prediction import Prediction
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.gpu_shares import give_back, take
from dcdaemon.store.gpu_time import charge
from dcdaemon.store.job_rows import dump, job_of, row_of
from dcdaemon.store.schema import job

#: Ids in one IN (...): well below what either database takes.
_IDS_AT_ONCE = 5000

_SUBMIT_ONE = insert(job).returning(job.c.id)
_SUBMIT_MANY = insert(job).returning(job.c.id, sort_by_parameter_order=True)
_REPLACE = update(job).where(job.c.id == bindparam("its_id"), job.c.version == bindparam("its_version"))
_REFER = (
    update(job)
    .where(job.c.id == bindparam("its_id"))
    .values(
        array_id=bindparam("its_array"),
        after=bindparam("its_after"),
        after_any=bindparam("its_after_any"),
        after_not_ok=bindparam("its_after_not_ok"),
    )
)
#: On PostgreSQL the lock keeps other nodes from taking ids in between.
_RESERVE = {
    "sqlite": (
        (
            "INSERT INTO sqlite_sequence SELECT 'job', 0 "
            "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'job')"
        ),
        "UPDATE sqlite_sequence SET seq = max(seq, :up_to) WHERE name = 'job'",
    ),
    "postgresql": (
        "LOCK TABLE job IN SHARE ROW EXCLUSIVE MODE",
        (
            "SELECT setval(name, greatest(:up_to, nextval(name))) "
            "FROM (SELECT CAST(pg_get_serial_sequence('job', 'id') AS regclass) AS name) AS sequence"
        ),
    ),
}
_ALL = select(job)
_ONE = select(job).where(job.c.id == bindparam("its_id"))


def submit(
    connection: Connection,
    specs: Sequence[JobSpec],
    node: str,
    at: float,
    actor: Actor,
    predictions: Sequence[Prediction] = (),
) -> list[Job]:
    """Insert new waiting jobs and return them in order; those that name each other by place get the ids."""
    if not specs:
        return []
    expected: Sequence[Prediction | None] = predictions or [None] * len(specs)
    rows = [row_of(new_job(0, spec, node, at, known)) for spec, known in zip(specs, expected, strict=True)]
    if len(rows) == 1:
        ids: Sequence[int] = [connection.execute(_SUBMIT_ONE, rows[0]).scalar_one()]
    else:
        ids = connection.execute(_SUBMIT_MANY, rows).scalars().all()
    changes = (submission(job_id, spec) for job_id, spec in zip(ids, specs, strict=True))
    add_audit(connection, [audit_row(node, at, actor, change) for change in changes])
    final = [placed(spec, ids) for spec in specs]
    _write_references(connection, ids, specs, final)
    return [new_job(job_id, spec, node, at, known) for job_id, spec, known in zip(ids, final, expected, strict=True)]


def _write_references(
    connection: Connection, ids: Sequence[int], asked: Sequence[JobSpec], final: Sequence[JobSpec]
) -> None:
    rows = [
        {"its_id": job_id, "its_array": spec.array_id, "its_after": dump(spec.after),
         "its_after_any": dump(spec.after_any), "its_after_not_ok": dump(spec.after_not_ok)}
        for job_id, before, spec in zip(ids, asked, final, strict=True)
        if spec is not before
    ]  # fmt: skip
    if rows:
        connection.execute(_REFER, rows)


def save(connection: Connection, changes: Sequence[JobChange]) -> list[Job | None]:
    """Apply each change on its own; None where the version had moved or a GPU was taken."""
    return [_apply(connection, change) for change in changes]


def _apply(connection: Connection, change: JobChange) -> Job | None:
    before, after = change.before, change.after
    gained, lost = after.slots - before.slots, before.slots - after.slots
    if not _replace(connection, before, after):
        return None
    if not take(connection, after, gained):
        _replace(connection, after, before)
        return None
    give_back(connection, before, lost)
    charge(connection, before, after)
    if change.action is not None:
        made = job_change(change.action, before, after)
        add_audit(connection, [audit_row(after.node, change.at, change.actor, made)])
    return after


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
    if query.array_id is not None:
        yield job.c.array_id == query.array_id
    if query.submitted_since is not None:
        yield job.c.submitted_at >= query.submitted_since
    if query.ended_since is not None:
        yield job.c.ended_at >= query.ended_since


def fates(connection: Connection, job_ids: Iterable[int]) -> dict[int, Fate]:
    """Return where each known id stands."""
    columns = select(job.c.id, job.c.state, job.c.ended_at)
    return {
        row.id: Fate(JobState(row.state), row.ended_at) for row in select_by_id(connection, columns, job.c.id, job_ids)
    }


def env_refs(connection: Connection, ended_since: float) -> set[str]:
    """Return the environments of all jobs that are unfinished or ended since then."""
    # Told by the state: a job that waits to run again still shows when it last ended.
    unfinished = job.c.state.in_(sorted(state.value for state in UNFINISHED))
    needed = select(job.c.env_ref).where(or_(unfinished, job.c.ended_at >= ended_since)).distinct()
    return set(connection.execute(needed).scalars())


def newest_id(connection: Connection) -> int:
    """Return the highest id of a job that there is."""
    newest: int | None = connection.execute(select(func.max(job.c.id))).scalar()
    return newest or 0


def reserve_ids(connection: Connection, up_to: int) -> None:
    """Begin the ids of new jobs behind this one, unless they are further already."""
    for statement in _RESERVE[connection.dialect.name]:
        connection.execute(text(statement), {"up_to": up_to} if ":up_to" in statement else {})


def select_by_id(
    connection: Connection, statement: Select[Any], column: ColumnElement[int], ids: Iterable[int]
) -> Iterator[Any]:
    """Yield the rows whose column is one of the ids, however many those are."""
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        yield from connection.execute(statement.where(column.in_(wanted[start : start + _IDS_AT_ONCE])))
