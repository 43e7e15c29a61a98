"""A backup of a PostgreSQL database: pg_dump's, of one picture of it, with the environments of the node's jobs."""

import contextlib
import errno
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select, text
from sqlalchemy.exc import DBAPIError

from dcdaemon import __version__
from dcdaemon.core.backup import BackupMade, BackupWish, Progress
from dcdaemon.core.errors import NotFound, StoreUnavailable
from dcdaemon.core.job import UNFINISHED
from dcdaemon.core.secrecy import mask_text
from dcdaemon.store import kept_envs
from dcdaemon.store.backup import check_target, told
from dcdaemon.store.faults import unavailable
from dcdaemon.store.own_tables import OWN_TABLES, VERSION_TABLE
from dcdaemon.store.part_file import part_of, scratch
from dcdaemon.store.postgresql_file import write_file
from dcdaemon.store.postgresql_tools import Tool, find_tool, password_of, running, said_by, target_of
from dcdaemon.store.revision import REVISIONS, stored_revision
from dcdaemon.store.schema import job
from dcdaemon.store.seal import seal

#: In which schema a table is.
HOME = text(
    "SELECT space.nspname FROM pg_class AS own JOIN pg_namespace AS space ON space.oid = own.relnamespace "
    "WHERE own.oid = to_regclass(:table)"
)
_TABLES = text(
    "SELECT own.relname, pg_table_size(own.oid) FROM pg_class AS own "
    "JOIN pg_namespace AS space ON space.oid = own.relnamespace "
    "WHERE space.nspname = :home AND own.relkind IN ('r', 'p', 'm', 'f')"
)
_BEGUN = re.compile(r'dumping contents of table "?.*?"?\."?(?P<table>\w+)"?')
#: How long a table may be locked by another program before there is no backup.
_LOCKED_MS = 60_000


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture of the database, held open: what it is, and what of it belongs into a backup."""

    snapshot: str
    home: str
    schema: str
    server: str
    major: int
    sizes: dict[str, int]
    jobs: int
    envs: tuple[str, ...]
    needed: tuple[str, ...]

    @property
    def others(self) -> list[str]:
        """The tables beside ours that are somebody else's; of a schema that we do not know, all are taken for ours."""
        if self.schema not in REVISIONS:
            return []
        return sorted(self.sizes.keys() - OWN_TABLES.keys() - {VERSION_TABLE})


def back_up(engine: Engine, url: str, path: Path, wish: BackupWish) -> BackupMade:
    """Write a backup to `path` while others write; raise NotFound, Refused, StoreUnavailable: nothing is left then."""
    check_target(path, wish)
    with told(path), part_of(path, force=wish.force) as part, _picture(engine, wish) as picture:
        if wish.key_file is None:
            return _made(url, picture, part, part.with_name(f"{path.name}.dump"), wish)
        # The readable copy stays where the environments are: `path` may be a share that others can read.
        with _private(wish) as place, scratch(place / "backup.copying") as plain:
            made = _made(url, picture, plain, place / "backup.dump", wish)
            seal(plain, part, wish.key_file, wish.progress)
        return BackupMade(part.stat().st_size, made.schema, made.jobs, made.environments, made.missing, encrypted=True)


@contextlib.contextmanager
def _private(wish: BackupWish) -> Iterator[Path]:
    """Yield the state directory, or one that is gone afterwards where there is none."""
    if wish.envs is not None and wish.envs.parent.is_dir():
        yield wish.envs.parent
        return
    with tempfile.TemporaryDirectory(prefix="dcd-backup-") as directory:
        yield Path(directory)


def _made(url: str, picture: _Picture, target: Path, dump_at: Path, wish: BackupWish) -> BackupMade:
    tool = find_tool("pg_dump", picture.major, "the server")
    with scratch(dump_at) as dump:
        _dump(tool, url, picture, dump, wish.progress)
        facts = {
            "node": wish.node, "made_at": round(time.time(), 3), "program": __version__, "schema": picture.schema,
            "jobs": picture.jobs, "server": picture.server, "pg_dump": tool.version, "postgresql_schema": picture.home,
        }  # fmt: skip
        held = write_file(target, facts, dump, _contents(picture, wish.envs), wish.progress)
    missing = sorted(set(picture.needed) - set(held)) if wish.envs is not None else []
    return BackupMade(target.stat().st_size, picture.schema, picture.jobs, len(held), tuple(missing))


def _contents(picture: _Picture, envs: Path | None) -> Iterator[tuple[str, bytes]] | None:
    if envs is None:
        return None
    found = ((ref, kept_envs.read(envs, ref)) for ref in picture.envs)
    return ((ref, content) for ref, content in found if content is not None)


@contextlib.contextmanager
def _picture(engine: Engine, wish: BackupWish) -> Iterator[_Picture]:
    """Yield one picture of the database, the one that pg_dump is given too."""
    name = mask_text(engine.url.render_as_string())
    try:
        with engine.connect() as connection:
            snapshot = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            # Whoever asks how large a table is waits for its lock.
            snapshot.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCKED_MS}")
            yield _looked_at(snapshot, name, wish)
    except DBAPIError as error:
        raise unavailable(error, name) or error from error


def _looked_at(connection: Connection, name: str, wish: BackupWish) -> _Picture:
    schema = stored_revision(connection)
    if schema is None:
        raise NotFound(f"there is nothing of this program in the database {name}", "it is where [storage] url says")
    home = connection.execute(HOME, {"table": VERSION_TABLE}).scalar_one()
    unfinished = job.c.state.in_(sorted(state.value for state in UNFINISHED))
    version = connection.execute(text("SHOW server_version")).scalar_one()
    return _Picture(
        connection.execute(text("SELECT pg_export_snapshot()")).scalar_one(), home, schema, version,
        int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000,
        dict(map(tuple, connection.execute(_TABLES, {"home": home}))),
        connection.execute(select(func.count()).select_from(job)).scalar_one(),
        _refs(connection, _of_node(wish.node)), _refs(connection, _of_node(wish.node).where(unfinished)),
    )  # fmt: skip


def _of_node(node: str | None) -> Select[Any]:
    """Select the environments of a node's jobs: those of others are on their disks."""
    refs = select(job.c.env_ref).distinct().order_by(job.c.env_ref)
    return refs if node is None else refs.where(job.c.node == node)


def _refs(connection: Connection, query: Select[Any]) -> tuple[str, ...]:
    return tuple(ref for ref in connection.execute(query).scalars() if kept_envs.REF.fullmatch(ref))


def _dump(tool: Tool, url: str, picture: _Picture, dump: Path, progress: Progress) -> None:
    database, environment = target_of(url)
    command = [
        str(tool.path), f"--dbname={database}", "--no-password", "--format=custom", "--encoding=UTF8", "--verbose",
        f"--snapshot={picture.snapshot}", f"--lock-wait-timeout={_LOCKED_MS}", f"--schema={_pattern(picture.home)}",
        *(f"--exclude-table={_pattern(picture.home)}.{_pattern(table)}" for table in picture.others),
    ]  # fmt: skip
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with dump.open("r+b") as target, running(command, env=environment, stdout=target, **streams) as child:
        lines = _followed(child, picture.sizes, progress)
        if child.wait() != 0:
            raise _failed(said_by(lines, password_of(url)))


def _failed(said: str) -> Exception:
    if os.strerror(errno.ENOSPC) in said:
        return OSError(errno.ENOSPC, said)
    return StoreUnavailable(f"no backup: {said}", "look at the log of the server; nothing was left behind")


def _followed(child: subprocess.Popen[bytes], sizes: dict[str, int], progress: Progress) -> list[str]:
    """Tell how much of all tables is done, while it goes on; return what the tool said last."""
    all_, done, last = sum(sizes.values()), 0, None
    lines: list[str] = []
    assert child.stderr is not None  # noqa: S101  it was asked for
    for raw in child.stderr:
        line = raw.decode("utf-8", "replace")
        lines = [*lines[-20:], line]
        if begun := _BEGUN.search(line):
            done += sizes.get(last or "", 0)
            last = begun["table"]
            progress("copying", done, all_)
    progress("copying", all_, all_)
    return lines


def _pattern(name: str) -> str:
    """Return a name as pg_dump's patterns have it: nothing in quotes stands for anything else."""
    return '"' + name.replace('"', '""') + '"'
