"""Rows out of pg_dump's custom format, through pg_restore: nothing of it is ever run as SQL."""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from subprocess import PIPE
from typing import IO, BinaryIO

from dcdaemon.core.errors import Refused
from dcdaemon.store.own_tables import OWN_TABLES, VERSION_TABLE
from dcdaemon.store.postgresql_tools import Tool, running, said_by
from dcdaemon.store.revision import HEAD, REVISIONS

#: Takes the rows of a table: its name, its columns, and blocks of whole lines as COPY writes them.
Take = Callable[[str, tuple[str, ...], Iterator[bytes]], None]
_DATA = re.compile(rb"^\d+; \d+ \d+ TABLE DATA (?P<schema>\S+) (?P<table>\S+) ")
_NAME = rb'(?:"(?:[^"]|"")+"|\w+)'
_COPY = re.compile(rb"^COPY " + _NAME + rb"\.(?P<table>" + _NAME + rb") \((?P<columns>.*)\) FROM stdin;\n$")
_SET = re.compile(
    rb"^SELECT pg_catalog\.setval\('(?:.*\.)?(?P<table>\w+)_id_seq', (?P<last>\d+), (?P<given>true|false)\);"
)
_END = b"\\.\n"
_BLOCK_BYTES = 1 << 16


class Archive:
    """A dump in an open file, and the program that reads it: from there, for it may lie where only we get."""

    def __init__(self, dump: BinaryIO, tool: Tool) -> None:
        """Look into a dump with pg_restore; raise Refused when it is none."""
        self._dump, self._tool = dump, tool
        #: The tables that it has rows of.
        self.tables = tuple(_plain(found["table"]) for line in self._said("--list") if (found := _DATA.match(line)))

    def schema(self) -> str | None:
        """Return the revision of our tables, None for a database that was none of ours; raise Refused."""
        lines: list[bytes] = []
        if VERSION_TABLE not in self.tables:
            return None
        self._read([VERSION_TABLE], lambda _, __, blocks: lines.extend(blocks))
        revisions = b"".join(lines).decode("utf-8", "replace").split()
        return revisions[0] if revisions else None

    def read(self, tables: Iterable[str], take: Take) -> dict[str, int]:
        """Hand over the rows of these tables, those that others refer to first; return the last id given out in each.

        Raise Refused when it is damaged.
        """
        wanted = sorted(set(tables))
        referred = {key.column.table.name for table in OWN_TABLES.values() for key in table.foreign_keys}
        first, rest = ([name for name in wanted if (name in referred) is is_first] for is_first in (True, False))
        return self._read(first, take) | self._read(rest, take)

    def _read(self, tables: Sequence[str], take: Take) -> dict[str, int]:
        if not tables:
            return {}
        names = [f"--table={name}{suffix}" for name in tables for suffix in ("", "_id_seq")]
        last: dict[str, int] = {}
        lines = self._said("--data-only", "--file=-", *names)
        for line in lines:
            if match := _COPY.match(line):
                columns = tuple(_plain(name) for name in re.findall(_NAME, match["columns"]))
                rows = _rows(lines)
                take(_plain(match["table"]), columns, rows)
                for _ in rows:
                    pass
            elif match := _SET.match(line):
                last[match["table"].decode()] = int(match["last"]) if match["given"] == b"true" else 0
        return last

    def _said(self, *arguments: str) -> Iterator[bytes]:
        """Yield what pg_restore says of the dump, line by line; raise Refused when it cannot read it."""
        self._dump.seek(0)
        with tempfile.TemporaryFile() as errors:
            command = [str(self._tool.path), *arguments]
            with running(command, stdin=self._dump, stdout=PIPE, stderr=errors) as child:
                yield from _lines(child.stdout)
                ended = child.wait()
            if ended != 0:
                errors.seek(0)
                said = said_by(errors.read().decode("utf-8", "replace").splitlines())
                raise Refused(f"it is damaged: {said}", "nothing was changed; use another backup")


def sound_schema(archive: Archive) -> str:
    """Return the revision of the dump's tables; raise Refused for one that we do not know."""
    schema = archive.schema()
    if schema is None:
        raise Refused("it holds no tables of this program", "nothing was changed; use another backup")
    if schema not in REVISIONS:
        hint = "nothing was changed; use the version of this program that made it"
        raise Refused(f"it has schema {schema}, this program knows {HEAD} and older", hint)
    return schema


def _lines(stream: IO[bytes] | None) -> Iterator[bytes]:
    assert stream is not None  # noqa: S101  it was asked for
    yield from stream


def _rows(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what stands before the end of one table, in blocks."""
    block: list[bytes] = []
    size = 0
    for line in lines:
        if line == _END:
            yield b"".join(block)
            return
        block.append(line)
        size += len(line)
        if size > _BLOCK_BYTES:
            yield b"".join(block)
            block, size = [], 0
    raise Refused("it is damaged: a table has no end", "nothing was changed; use another backup")


def _plain(name: bytes) -> str:
    """Return an identifier as it is, without the quotes that SQL may need."""
    text = name.decode("utf-8", "replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
