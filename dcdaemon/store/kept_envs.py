"""Environments of jobs inside a backup: its jobs can be run with nothing but the backup at hand."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

#: A table of the backup alone; restoring takes it out again.
TABLE = "backup_environment"
REF = re.compile(r"[0-9a-f]{40}")
_NEEDED = "SELECT DISTINCT env_ref FROM job ORDER BY env_ref"
_UNFINISHED = "SELECT DISTINCT env_ref FROM job WHERE state IN ('waiting', 'starting', 'running', 'stopping')"


def put_in(backup: sqlite3.Connection, directory: Path | None) -> tuple[int, tuple[str, ...]]:
    """Take in the environments of the backup's jobs; return how many, and those that unfinished jobs will miss."""
    if directory is None:
        return 0, ()
    backup.execute(f"CREATE TABLE {TABLE} (ref TEXT PRIMARY KEY, content BLOB NOT NULL)")
    there = 0
    with backup:
        for ref in _refs(backup, _NEEDED):
            content = read(directory, ref)
            if content is not None:
                backup.execute(f"INSERT INTO {TABLE} VALUES (?, ?)", (ref, content))  # noqa: S608  a name of ours
                there += 1
    held = set(_refs(backup, f"SELECT ref FROM {TABLE}"))  # noqa: S608  as above
    return there, tuple(sorted(set(_refs(backup, _UNFINISHED)) - held))


def take_out(backup: sqlite3.Connection, directory: Path) -> int:
    """Put back the environments that are not there any more, leave none in the database; return how many."""
    if not backup.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone():
        return 0
    number = put_back(directory, _rows(backup))
    # What is deleted is overwritten: nobody looks for secrets in the free pages of a database.
    backup.execute("PRAGMA secure_delete=ON")
    backup.execute(f"DROP TABLE {TABLE}")
    return number


def put_back(directory: Path, envs: Iterable[tuple[str, bytes]]) -> int:
    """Write those that are not there any more, each complete and 0600; return how many; raise OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return sum(_put_back(directory / ref, content) for ref, content in envs)


def needed(database: sqlite3.Connection, node: str | None = None) -> list[str]:
    """Return what the unfinished jobs of a database, or those of one of its nodes, will be run with."""
    if node is None:
        return list(_refs(database, _UNFINISHED))
    return list(_refs(database, f"{_UNFINISHED} AND node = ?", node))


def missing(backup: sqlite3.Connection) -> list[str]:
    """Return what unfinished jobs of a backup need and it does not hold; none for a database that is no backup."""
    if not backup.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone():
        return []
    held = {ref for ref, _ in _rows(backup)}
    return sorted(set(_refs(backup, _UNFINISHED)) - held)


def _rows(backup: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    for ref, content in backup.execute(f"SELECT ref, content FROM {TABLE}"):  # noqa: S608  a name of ours
        # A name from a file is no path of ours before it looks like one.
        if isinstance(ref, str) and REF.fullmatch(ref) and isinstance(content, bytes):
            yield ref, content


def _refs(backup: sqlite3.Connection, query: str, *values: str) -> Iterator[str]:
    return (ref for (ref,) in backup.execute(query, values).fetchall() if REF.fullmatch(ref))


def read(directory: Path, ref: str) -> bytes | None:
    """Return an environment; None for one that cannot be read."""
    try:
        descriptor = os.open(directory / ref, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _put_back(path: Path, content: bytes) -> bool:
    """Write one that is missing; tell whether it was."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return True
