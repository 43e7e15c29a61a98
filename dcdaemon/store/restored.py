"""Jobs of a database that no daemon uses, put back as a restore needs them."""

import sqlite3
from collections.abc import Iterable

from dcdaemon.core.job import Job
from dcdaemon.store.backup import FACTS
from dcdaemon.store.carry_over import allocate
from dcdaemon.store.job_rows import row_of


def put_jobs(database: sqlite3.Connection, jobs: Iterable[Job]) -> None:
    """Write whole jobs, new or not, and who holds which GPU then; raise sqlite3.Error."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        for job in jobs:
            row = {"id": job.id, **row_of(job)}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            statement = f"INSERT OR REPLACE INTO job ({names}) VALUES ({marks})"  # noqa: S608  names are ours
            database.execute(statement, tuple(row.values()))
        allocate(database)


def forget_backup(database: sqlite3.Connection) -> None:
    """Take out what only a backup has."""
    database.execute(f"DROP TABLE IF EXISTS {FACTS}")
