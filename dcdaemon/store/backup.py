"""A backup of a SQLite database: one consistent picture, taken while others write, complete or not there at all."""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from dcdaemon import __version__
from dcdaemon.core.backup import BackupMade, BackupWish, Progress
from dcdaemon.core.errors import DcdError, Refused, StoreUnavailable
from dcdaemon.store import kept_envs
from dcdaemon.store.faults import why
from dcdaemon.store.part_file import SIDE_FILES, part_of, refuse_taken, scratch
from dcdaemon.store.seal import check_key, seal

#: Who made a backup and when; a table of the backup alone.
FACTS = "backup_facts"
#: Pages between two looks at the progress, and at whether somebody wants to end this.
_PAGES_AT_ONCE = 2048
#: Disk space that a copy needs beyond its pages.
_SPARE_BYTES = 1 << 20


def back_up(open_source: Callable[[], sqlite3.Connection], database: Path, path: Path, wish: BackupWish) -> BackupMade:
    """Write a backup of the open database to `path`; raise Refused or StoreUnavailable, which leave nothing behind."""
    refuse_itself(database, path)
    check_target(path, wish)
    with told(path), part_of(path, force=wish.force) as part, closing(open_source()) as source:
        if wish.key_file is None:
            return _copied(source, part, wish)
        # The readable copy stays where the database itself is: `path` may be a share that others can read.
        with scratch(database.with_name(f"{database.name}.copying")) as plain:
            made = _copied(source, plain, wish)
            seal(plain, part, wish.key_file, wish.progress)
        return BackupMade(part.stat().st_size, made.schema, made.jobs, made.environments, made.missing, encrypted=True)


def check_target(path: Path, wish: BackupWish) -> None:
    """Raise Refused for a name that must not be written to, BadInput for a wrong key."""
    refuse_taken(path, force=wish.force)
    if wish.key_file is not None:
        check_key(wish.key_file)


def take_over(plain: BinaryIO, path: Path, made: BackupMade, wish: BackupWish) -> BackupMade:
    """Write to `path` a backup that another user has made, and holds readable in an open file that nobody else has."""
    with told(path), part_of(path, force=wish.force) as part:
        if wish.key_file is None:
            with part.open("wb") as target:
                shutil.copyfileobj(plain, target)
        else:
            seal(Path(f"/proc/self/fd/{plain.fileno()}"), part, wish.key_file, wish.progress)
        return replace(made, size_bytes=part.stat().st_size, encrypted=wish.key_file is not None)


def _copied(source: sqlite3.Connection, target: Path, wish: BackupWish) -> BackupMade:
    _refuse_small_disk(source, target)
    copy_pages(source, target, wish.progress)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        _be_quick(copy)
        environments, missing = kept_envs.put_in(copy, wish.envs)
        _put_facts(copy)
        wish.progress("checking", 0, 1)
        refuse_damaged(copy, "the database")
        wish.progress("checking", 1, 1)
        jobs = copy.execute("SELECT count(*) FROM job").fetchone()[0]
        schema = schema_of(copy)
    return BackupMade(target.stat().st_size, schema, jobs, environments, missing)


def copy_pages(source: sqlite3.Connection, target: Path, progress: Progress) -> None:
    """Copy one picture of a database to an empty file; nobody who writes meanwhile is held up."""
    # Within a transaction of ours the picture stays as it is, or each write of others would begin the copy anew.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        _be_quick(copy)
        source.backup(copy, pages=_PAGES_AT_ONCE, progress=lambda _, left, all_: progress("copying", all_ - left, all_))
        # A copy has no log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
    source.execute("ROLLBACK")


def schema_of(database: sqlite3.Connection) -> str | None:
    """Return the schema of a database, None when it has none of ours; raise sqlite3.Error."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def refuse_damaged(database: sqlite3.Connection, what: str) -> None:
    """Raise StoreUnavailable when its pages are not as SQLite wrote them."""
    damage = [row[0] for row in database.execute("PRAGMA quick_check(1)")]
    if damage != ["ok"]:
        message = f"{what} is damaged: {' '.join(str(damage[0]).split())}"
        raise StoreUnavailable(message, "dcd db check tells all of it; keep the backups you have")


def _put_facts(copy: sqlite3.Connection) -> None:
    copy.execute(f"CREATE TABLE {FACTS} (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    facts = {"made_at": f"{time.time():.3f}", "program": __version__}
    copy.executemany(f"INSERT INTO {FACTS} VALUES (?, ?)", facts.items())  # noqa: S608  a name of ours


def _be_quick(copy: sqlite3.Connection) -> None:
    """Leave safety to the caller, who syncs the whole file once before it gets its name."""
    copy.execute("PRAGMA synchronous=OFF")
    copy.execute("PRAGMA journal_mode=OFF")


def refuse_itself(database: Path, path: Path) -> None:
    """Raise Refused for a name that is the database's own, or of a file beside it."""
    names = {database.resolve().with_name(database.name + suffix) for suffix in ("", *SIDE_FILES)}
    if path.resolve() in {database.resolve(), *names}:
        raise Refused(f"{path} is the database itself", "name a file that does not exist yet")


def _refuse_small_disk(source: sqlite3.Connection, target: Path) -> None:
    """Find out before an hour of copying."""
    pages, size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    free = shutil.disk_usage(target.parent).free
    if free < pages * size + _SPARE_BYTES:
        needed, there = (f"{number / 2**20:,.0f} MB" for number in (pages * size + _SPARE_BYTES, free))
        raise OSError(28, f"{needed} are needed in {target.parent}, {there} are free")


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell any trouble as one error about the backup."""
    try:
        yield
    except sqlite3.Error as error:
        reason, hint = why(error)
        raise StoreUnavailable(f"no backup in {path}: {reason} ({error})", hint) from error
    except DcdError:
        raise
    except OSError as error:
        hint = "name another place, or free some space there; nothing was left behind"
        raise StoreUnavailable(f"no backup in {path}: {error.strerror or error}", hint) from error
