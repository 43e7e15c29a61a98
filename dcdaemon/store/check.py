"""`dcd db check`: is the file sound, is its schema known, and does all hold that must."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from dcdaemon.core.errors import NotFound, StoreUnavailable
from dcdaemon.store import kept_envs
from dcdaemon.store.database import choose_database
from dcdaemon.store.faults import is_corrupt, unavailable, why
from dcdaemon.store.invariants import RULES
from dcdaemon.store.revision import HEAD, REVISIONS, stored_revision

_WAL = b"\x02\x02"
_FORMAT_AT = slice(18, 20)


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as it must be, and the rule that says so."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found; `complete` is False where the schema is too old for all rules."""

    schema: str | None
    violations: tuple[Violation, ...]
    complete: bool

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    def as_json(self) -> dict[str, object]:
        """Return the document that the command prints."""
        found = [{"rule": one.rule, "message": one.message} for one in self.violations]
        return {"ok": self.ok, "complete": self.complete, "database_schema": self.schema, "violations": found}


def check_file(path: Path) -> Verdict:
    """Check a SQLite database or a backup, which is only read; raise NotFound, StoreUnavailable when it is none."""
    if not path.is_file():
        raise NotFound(f"there is no database {path}", "name the file of a database or of a backup")
    try:
        name = _name_to_read(path)
        with closing(_opened(name)) as raw:
            return _judged(name, list(_damage(raw)))
    except (sqlite3.Error, DBAPIError) as error:
        reason, hint = why(error)
        if is_corrupt(error):
            return Verdict(None, (Violation("integrity", f"{reason}: {hint}"),), complete=False)
        raise StoreUnavailable(f"{path} cannot be read: {reason}", hint) from error


def _judged(name: str, damage: list[Violation]) -> Verdict:
    engine = create_engine("sqlite://", creator=lambda: _opened(name), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        return _judge(connection, damage)


def check_server(url: str) -> tuple[str, Verdict]:
    """Check a database on a server, in one picture of it, and name it without its password; raise StoreUnavailable."""
    database = choose_database(url)
    try:
        with database.reader.connect() as connection:
            snapshot = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            return database.name, _judge(snapshot, [])
    except DBAPIError as error:
        raise unavailable(error, database.name) or error from error
    finally:
        database.close()


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that is not to be changed, wherever it lies; raise sqlite3.Error, OSError.

    Not for one that this process has open already: looking at the file drops the locks that SQLite holds for it.
    """
    return _opened(_name_to_read(path))


def given_ids(raw: sqlite3.Connection, schema: str = "main") -> int:
    """Return the highest id that was ever given to a job; raise sqlite3.Error."""
    query = f"SELECT seq FROM {schema}.sqlite_sequence WHERE name = 'job'"  # noqa: S608  a name of ours
    row = raw.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def _name_to_read(path: Path) -> str:
    with path.open("rb") as file:
        logged = file.read(_FORMAT_AT.stop)[_FORMAT_AT] == _WAL
    # Who uses a database has its log beside it. Where there is none, none must be made: the place may not be ours.
    unused = logged and not path.with_name(f"{path.name}-wal").exists()
    return f"file:{quote(str(path))}?mode=ro{'&immutable=1' if unused else ''}"


def _opened(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, uri=True, isolation_level=None, timeout=5.0)


def _damage(raw: sqlite3.Connection) -> Iterator[Violation]:
    """Yield what SQLite itself finds: pages and indexes, then references between tables."""
    for (line,) in raw.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield Violation("integrity", " ".join(str(line).split()))
    for table, row, parent, _ in raw.execute("PRAGMA foreign_key_check"):
        yield Violation("integrity", f"row {row} of {table} refers to a row of {parent} that does not exist")
    for ref in kept_envs.missing(raw):
        yield Violation("environments", f"the environment {ref} of an unfinished job is not in this backup")


def _judge(connection: Connection, found: list[Violation]) -> Verdict:
    schema = stored_revision(connection)
    if schema is None:
        return Verdict(None, (*found, Violation("schema", "it holds no tables of this program")), complete=False)
    if schema not in REVISIONS:
        newer = Violation("schema", f"it has schema {schema}, this program knows {HEAD} and older")
        return Verdict(schema, (*found, newer), complete=False)
    if schema != HEAD or any(violation.rule == "integrity" for violation in found):
        return Verdict(schema, tuple(found), complete=False)
    return Verdict(schema, (*found, *broken_rules(connection)), complete=True)


def broken_rules(connection: Connection) -> Iterator[Violation]:
    """Yield what does not hold in a database of the newest schema."""
    for name, rule in RULES.items():
        for message in rule(connection):
            yield Violation(name, message)
