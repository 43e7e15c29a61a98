"""The backup of a PostgreSQL database, checked without any server: by the rules that hold on both databases."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from sqlalchemy import Boolean, NullPool, Table, create_engine

from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import Refused
from dcdaemon.store import kept_envs
from dcdaemon.store.check import Verdict, Violation, broken_rules
from dcdaemon.store.own_tables import OWN_TABLES
from dcdaemon.store.postgresql_archive import Archive, sound_schema
from dcdaemon.store.postgresql_file import Manifest, unpack
from dcdaemon.store.postgresql_tools import restorer
from dcdaemon.store.revision import HEAD
from dcdaemon.store.schema import metadata
from dcdaemon.store.series import SERIES

#: The bulk of a backup, of which no rule tells anything; its bytes are checked as all others are.
_NOT_LOOKED_AT = {series.raw.name for series in SERIES.values()}
#: Of the rest of it only what a rule looks at: which rows there are, and of how many samples each was made.
_FOLDED = {table.name for series in SERIES.values() for table in series.folded.values()}
#: What COPY writes for what would end a value or a row.
_ESCAPED = re.compile(rb"\\(.)")
_MEANT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NULL = rb"\N"


def check_postgresql_file(path: Path, private: Path, progress: Progress) -> Verdict:
    """Check a backup that is readable, with a copy in a directory that is ours alone; raise Refused without pg_restore.

    Its rows go into a SQLite database for a moment, where the rules are looked after.
    """
    dump = private / "database.dump"
    with path.open("rb") as file:
        try:
            manifest = unpack(file, dump, progress)
        except Refused as error:
            return Verdict(None, (Violation("integrity", error.message),), complete=False)
    tool = restorer(manifest.tool_major)
    with dump.open("rb") as file:
        try:
            return _judged(Archive(file, tool), manifest, private / "rows.db", progress)
        except Refused as error:
            return Verdict(None, (Violation("integrity", error.message),), complete=False)


def _judged(archive: Archive, manifest: Manifest, rows: Path, progress: Progress) -> Verdict:
    try:
        schema = sound_schema(archive)
    except Refused as error:
        return Verdict(archive.schema(), (Violation("schema", error.message),), complete=False)
    if schema != HEAD:
        return Verdict(schema, (), complete=False)
    if missing := sorted(OWN_TABLES.keys() - set(archive.tables)):
        return Verdict(schema, (Violation("integrity", f"it has no table {missing[0]}"),), complete=False)
    engine = create_engine(f"sqlite:///{rows}", poolclass=NullPool)
    metadata.create_all(engine, checkfirst=False)
    with closing(sqlite3.connect(rows, isolation_level=None)) as raw:
        found = _loaded(raw, archive, progress) + _without_environment(raw, manifest)
    with engine.connect() as connection:
        return Verdict(schema, (*found, *broken_rules(connection)), complete=True)


def _loaded(raw: sqlite3.Connection, archive: Archive, progress: Progress) -> list[Violation]:
    """Take the rows in; return what is wrong with references between tables."""
    wanted = OWN_TABLES.keys() & set(archive.tables) - _NOT_LOOKED_AT
    done = count(1)

    def take(name: str, columns: tuple[str, ...], blocks: Iterator[bytes]) -> None:
        looked_at = _looked_at(OWN_TABLES[name], columns)
        names, marks = ", ".join(f'"{columns[at]}"' for at in looked_at), ", ".join("?" * len(looked_at))
        raw.executemany(f'INSERT INTO "{name}" ({names}) VALUES ({marks})', _rows(looked_at, blocks))  # noqa: S608
        progress("checking", next(done), len(wanted))

    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("BEGIN")
    try:
        last = archive.read(wanted, take)
    except (sqlite3.Error, IndexError) as error:
        raise Refused(f"its rows do not fit: {error}") from error
    for table, given in last.items():
        raw.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (given, table))
    raw.execute("COMMIT")
    return [
        Violation("integrity", f"a row of {table} refers to a row of {parent} that does not exist")
        for table, _, parent, _ in raw.execute("PRAGMA foreign_key_check")
    ]


def _looked_at(table: Table, columns: tuple[str, ...]) -> dict[int, bool]:
    """Return the places of the columns that are looked at, and whether each of them says yes or no."""
    needed = {column.name for column in table.primary_key} | {"n"} if table.name in _FOLDED else set(columns)
    return {
        place: name in table.columns and isinstance(table.columns[name].type, Boolean)
        for place, name in enumerate(columns)
        if name in needed
    }


def _rows(looked_at: dict[int, bool], blocks: Iterator[bytes]) -> Iterator[list[object]]:
    for block in blocks:
        for line in block.splitlines():
            fields = line.split(b"\t")
            yield [_value(fields[place], is_flag=is_flag) for place, is_flag in looked_at.items()]


def _value(field: bytes, *, is_flag: bool) -> object:
    """Return a value as SQLite takes it, which makes numbers of text in columns of numbers."""
    if field == _NULL:
        return None
    if is_flag:
        return field == b"t"
    if b"\\" in field:
        field = _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), field)
    return field.decode("utf-8", "replace")


def _without_environment(raw: sqlite3.Connection, manifest: Manifest) -> list[Violation]:
    if manifest.environments is None:
        return []
    return [
        Violation("environments", f"the environment {ref} of an unfinished job is not in this backup")
        for ref in kept_envs.needed(raw, manifest.node)
        if ref not in manifest.environments
    ]
