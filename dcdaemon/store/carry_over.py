"""What a restored database takes along from the one it replaces: nothing that was accepted or has run is forgotten."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dcdaemon.core.job import ACTIVE, UNFINISHED
from dcdaemon.store.schema import audit, job, token

_COLUMNS = ", ".join(column.name for column in job.columns)
_OF_PRESENT = ", ".join(f"theirs.{column.name}" for column in job.columns)


@dataclass(frozen=True, slots=True)
class Carried:
    """The jobs that came along: those that were submitted since the backup, those that have moved on since.

    `strangers` are ids that name another job in each of the two: the backup's was kept.
    """

    newer: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    strangers: tuple[int, ...] = ()


def carry_over(restored: sqlite3.Connection, present: Path) -> Carried:
    """Copy from the present database, of the same schema, all that the past may not undo; raise sqlite3.Error.

    Jobs submitted since; jobs that have begun, or were queued again, since; the audit; the tokens and their ends.
    """
    restored.execute("ATTACH DATABASE ? AS present", (f"file:{quote(str(present))}?mode=ro",))
    try:
        with restored:
            restored.execute("BEGIN IMMEDIATE")
            strangers = _ids(restored, f"SELECT id FROM ({_BOTH}) WHERE NOT same")  # noqa: S608  words of ours
            newer = _ids(restored, "SELECT id FROM present.job WHERE id NOT IN (SELECT id FROM main.job)")
            moved = _ids(restored, _MOVED)
            for job_id in (*newer, *moved):
                restored.execute(_TAKE, (job_id,))
            if not strangers:
                _carry_records(restored)
            allocate(restored)
        return Carried(newer, moved, strangers)
    finally:
        restored.execute("DETACH DATABASE present")


def allocate(database: sqlite3.Connection) -> None:
    """Write down anew which active job holds which GPU; a GPU that two of them name stays with the first."""
    database.execute("DELETE FROM allocation")
    database.execute("DELETE FROM gpu_share")
    states = _words(ACTIVE)
    columns = f"SELECT id, node, gpus, gpu_mem_bytes FROM job WHERE state IN ({states}) ORDER BY id"  # noqa: S608
    for job_id, node, gpus, part_bytes in database.execute(columns).fetchall():
        for gpu in json.loads(gpus):
            database.execute(
                "INSERT OR IGNORE INTO allocation (node, gpu, job_id) VALUES (?, ?, ?)", (node, gpu, job_id)
            )
            if part_bytes is not None:
                database.execute("INSERT INTO gpu_share (node, gpu, job_id) VALUES (?, ?, ?)", (node, gpu, job_id))


def reserve_ids(database: sqlite3.Connection, up_to: int) -> None:
    """Never give out an id up to this one to a new job."""
    database.execute("INSERT INTO sqlite_sequence (name, seq) SELECT 'job', 0 WHERE NOT EXISTS (SELECT 1 FROM "
                     "sqlite_sequence WHERE name = 'job')")  # fmt: skip
    database.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'job'", (up_to,))


def given_ids(database: sqlite3.Connection) -> int:
    """Return the highest id that was ever given to a job."""
    row = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'job'").fetchone()
    return 0 if row is None else int(row[0])


def _carry_records(restored: sqlite3.Connection) -> None:
    columns = ", ".join(column.name for column in audit.columns)
    restored.execute(
        f"INSERT INTO main.audit ({columns}) SELECT {columns} FROM present.audit "  # noqa: S608  names are ours
        "WHERE id > (SELECT coalesce(max(id), 0) FROM main.audit)"
    )
    columns = ", ".join(column.name for column in token.columns)
    # A token that was revoked since stays revoked.
    restored.execute("DELETE FROM main.token")
    restored.execute(f"INSERT INTO main.token ({columns}) SELECT {columns} FROM present.token")  # noqa: S608  as above


def _ids(database: sqlite3.Connection, query: str) -> tuple[int, ...]:
    return tuple(sorted(job_id for (job_id,) in database.execute(query)))


def _words(states: Iterable[str]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


#: Each job that is in both, and whether it is the same one.
_BOTH = (
    "SELECT ours.id, ours.state, ours.attempt, theirs.state AS new_state, theirs.attempt AS new_attempt, "
    "ours.submitted_at = theirs.submitted_at AND ours.uid = theirs.uid AS same "
    "FROM main.job AS ours JOIN present.job AS theirs USING (id)"
)
#: What was cancelled or held while it waited is what a backup brings back; what has run is no matter of opinion.
_MOVED = (
    f"SELECT id FROM ({_BOTH}) WHERE same AND (new_attempt > attempt OR state IN ({_words(ACTIVE)}) "  # noqa: S608
    f"OR (state NOT IN ({_words(UNFINISHED)}) AND new_state IN ({_words(UNFINISHED)})))"
)
_TAKE = f"INSERT OR REPLACE INTO main.job ({_COLUMNS}) SELECT {_OF_PRESENT} FROM present.job AS theirs WHERE id = ?"  # noqa: S608
