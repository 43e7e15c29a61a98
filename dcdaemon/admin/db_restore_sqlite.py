"""`dcd db restore` for a SQLite database: another file takes its name, and it is kept under a new one."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from dcdaemon.admin.db_place import Place, open_to_write
from dcdaemon.admin.db_since import Restored, catch_up
from dcdaemon.admin.owner import acting_as
from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import DcdError, Refused
from dcdaemon.core.ports import Actor
from dcdaemon.store import kept_envs
from dcdaemon.store.backup import copy_pages
from dcdaemon.store.check import Verdict, check_file, open_to_read
from dcdaemon.store.faults import why
from dcdaemon.store.part_file import SIDE_FILES, scratch, sync_directory
from dcdaemon.store.postgresql_file import is_postgresql_file
from dcdaemon.store.restored import forget_backup, restored_file
from dcdaemon.store.seal import is_sealed, unseal
from dcdaemon.store.sql_store import open_store

#: As the daemon makes its database: for its group to read.
_MODE = 0o640


def restore_file(place: Place, backup: Path, key_file: Path | None, actor: Actor, progress: Progress) -> Restored:
    """Put a backup in the place of the database; raise Refused, OSError: the present database is untouched then."""
    # The backup is the caller's to read; what it comes to may be the place of another user, and is his to write.
    with _ready(place, backup, key_file, progress) as fetch, acting_as(place.owner):
        place.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        with scratch(place.path.with_name(f"{place.path.name}.restoring")) as fresh, _told():
            verdict = fetch(fresh)
            put_back = _opened(place, fresh)
            with restored_file(fresh, place.node, place.path if _is_readable(place.path) else None) as database:
                carried = database.carry_over()
                on_disk = catch_up(database, place, backup, carried, actor)
                jobs = database.count_jobs()
            warnings = tuple(violation.message for violation in check_file(fresh).violations)
            kept = _swap(place, fresh)
    aside = None if kept is None else str(kept)
    return Restored(place.name, backup, verdict.schema, jobs, put_back, aside, carried, on_disk, warnings)


@contextlib.contextmanager
def _ready(
    place: Place, backup: Path, key_file: Path | None, progress: Progress
) -> Iterator[Callable[[Path], Verdict]]:
    """Yield what fills a file with the backup and tells how sound that is.

    For another user it comes from an open copy that he cannot get at, of this program's schema already: he may not be
    able to run this program.
    """
    if place.owner is None:
        yield lambda fresh: _fetch(backup, fresh, key_file, progress)
        return
    with tempfile.TemporaryDirectory(prefix="dcd-restore-") as private:
        plain = Path(private) / "plain.db"
        os.close(os.open(plain, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        verdict = _fetch(backup, plain, key_file, progress)
        open_store(f"sqlite:///{plain}", place.node).close()
        with plain.open("rb") as source:
            yield lambda fresh: _copied(source, fresh, verdict)


def _copied(source: BinaryIO, fresh: Path, verdict: Verdict) -> Verdict:
    with fresh.open("wb") as target:
        shutil.copyfileobj(source, target)
    return verdict


def _fetch(backup: Path, fresh: Path, key_file: Path | None, progress: Progress) -> Verdict:
    if is_sealed(backup):
        unseal(backup, fresh, key_file, progress)
        _refuse_other_kind(fresh)
    else:
        _refuse_other_kind(backup)
        # Page by page and not as bytes: what was copied by hand may have its log beside it.
        with closing(open_to_read(backup)) as source:
            copy_pages(source, fresh, progress)
    return _judged(fresh)


def _refuse_other_kind(backup: Path) -> None:
    if is_postgresql_file(backup):
        hint = "[storage] url names a SQLite database: dcd config show; --config FILE names another configuration"
        raise Refused("it is the backup of a PostgreSQL database", hint)


def _judged(fresh: Path) -> Verdict:
    """Refuse what is damaged, no database of ours, or of a newer program."""
    verdict = check_file(fresh)
    fatal = [violation for violation in verdict.violations if violation.rule in ("integrity", "schema")]
    if fatal:
        hint = "nothing was changed; dcd db check FILE tells all that is wrong with a backup"
        raise Refused(fatal[0].message, hint)
    return verdict


def _opened(place: Place, fresh: Path) -> int:
    """Take the environments out and bring the database to the newest schema; return how many were put back."""
    with closing(open_to_write(fresh)) as database:
        put_back = kept_envs.take_out(database, place.envs)
        forget_backup(database)
    open_store(f"sqlite:///{fresh}", place.node).close()
    return put_back


def _is_readable(present: Path) -> bool:
    """Tell whether the database that is replaced is sound and of this schema: what it says is worth more than files."""
    try:
        verdict = check_file(present)
    except DcdError:
        return False
    return verdict.complete


def _swap(place: Place, fresh: Path) -> Path | None:
    """Keep the present database aside under another name, and let the new one take its place in one step."""
    handle = os.open(fresh, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(handle, _MODE)
        with contextlib.suppress(FileNotFoundError, PermissionError):  # a group that may read it goes on doing so
            os.fchown(handle, -1, place.path.stat().st_gid)
        os.fsync(handle)
    finally:
        os.close(handle)
    kept = _kept_aside(place.path) if place.path.exists() else None
    fresh.rename(place.path)
    sync_directory(place.path.parent)
    return kept


def _kept_aside(path: Path) -> Path:
    kept = path.with_name(f"{path.name}.before-restore-{time.strftime('%Y%m%d-%H%M%S')}")
    if kept.exists():
        raise Refused(f"{kept} is already there", "wait a second, or move it away")
    # The log belongs to the old database: beside the new one it would be taken for its own.
    with contextlib.suppress(sqlite3.Error), closing(open_to_write(path)) as present:
        present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in SIDE_FILES:
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + suffix))
    try:
        os.link(path, kept)  # so that there is a database under its name at every moment
    except OSError:
        path.rename(kept)
    return kept


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        reason, _ = why(error)
        raise Refused(f"{reason} ({error})", "the present database was left as it is") from error
