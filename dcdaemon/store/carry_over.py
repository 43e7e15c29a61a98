"""What a restored database takes along from the one it replaces: nothing that was accepted or has run is forgotten."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    CursorResult,
    Executable,
    MetaData,
    Select,
    Table,
    and_,
    delete,
    insert,
    not_,
    or_,
    select,
)

from dcdaemon.core.job import ACTIVE, UNFINISHED
from dcdaemon.core.ports import JobQuery
from dcdaemon.store.gpu_shares import take
from dcdaemon.store.jobs import find
from dcdaemon.store.schema import allocation, audit, gpu_share, job, token

#: How the statements below name the schema that the present database is in, whatever its name is.
PRESENT = "present"
_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Carried:
    """The jobs that came along: those that were submitted since the backup, those that have moved on since.

    `strangers` are ids that name another job in each of the two: the backup's was kept.
    """

    newer: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    strangers: tuple[int, ...] = ()


def carry_over(restored: Connection, present: str = PRESENT) -> Carried:
    """Copy from the present database, of the same schema, all that the past may not undo.

    Jobs submitted since; jobs that have begun, or were queued again, since; the audit; the tokens and their ends.
    `present` is the schema where that database is, beside the restored one, whose names stand alone.
    """
    both = _Both(restored, present)
    strangers, newer, moved = both.ids(_STRANGERS), both.ids(_NEWER), both.ids(_MOVED)
    _release(restored)
    for some in (*_slices(newer), *_slices(moved)):
        restored.execute(delete(job).where(job.c.id.in_(some)))
        both.execute(_copied(job, _JOB, _JOB.c.id.in_(some)))
    if not strangers:
        both.execute(_copied(audit, _AUDIT, _AUDIT.c.id.not_in(select(audit.c.id))))
        # A token that was revoked since stays revoked.
        restored.execute(delete(token))
        both.execute(_copied(token, _TOKEN))
    allocate(restored)
    return Carried(newer, moved, strangers)


@dataclass(frozen=True, slots=True)
class _Both:
    """A connection from which both databases are seen."""

    connection: Connection
    present: str

    def execute(self, statement: Executable) -> CursorResult[int]:
        options = {"schema_translate_map": {PRESENT: self.present}}
        return self.connection.execute(statement, execution_options=options)

    def ids(self, query: Select[tuple[int]]) -> tuple[int, ...]:
        return tuple(sorted(job_id for (job_id,) in self.execute(query)))


def allocate(database: Connection) -> None:
    """Write down anew which active job holds which GPU; a GPU that two of them name stays with the first."""
    _release(database)
    for one in find(database, JobQuery(states=ACTIVE, oldest_first=True)):
        for slot in sorted(one.slots):
            take(database, one, {slot})


def _release(database: Connection) -> None:
    for table in (allocation, gpu_share):
        database.execute(delete(table))


def _copied(ours: Table, theirs: Table, *conditions: object) -> Executable:
    names = [column.name for column in ours.columns]
    return insert(ours).from_select(names, select(*(theirs.c[name] for name in names)).where(*conditions))  # type: ignore[arg-type]


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _IDS_AT_ONCE] for start in range(0, len(ids), _IDS_AT_ONCE))


_THEIRS = MetaData()
_JOB, _AUDIT, _TOKEN = (table.to_metadata(_THEIRS, schema=PRESENT) for table in (job, audit, token))
#: A job that is in both databases is the same one.
_SAME = and_(job.c.submitted_at == _JOB.c.submitted_at, job.c.uid == _JOB.c.uid)
_BOTH = select(job.c.id).join(_JOB, job.c.id == _JOB.c.id)
_STRANGERS = _BOTH.where(not_(_SAME))
_NEWER = select(_JOB.c.id).where(_JOB.c.id.not_in(select(job.c.id)))
#: What was cancelled or held while it waited is what a backup brings back; what has run is no matter of opinion.
_MOVED = _BOTH.where(
    _SAME,
    or_(
        _JOB.c.attempt > job.c.attempt,
        job.c.state.in_(sorted(ACTIVE)),
        and_(job.c.state.not_in(sorted(UNFINISHED)), _JOB.c.state.in_(sorted(UNFINISHED))),
    ),
)
