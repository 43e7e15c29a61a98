"""`dcd db restore`: put a backup in the place of the database; what was accepted or has run since is not forgotten."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dcdaemon.admin.db_on_disk import behind
from dcdaemon.admin.db_place import Place, open_to_write, refuse_unreadable, sqlite_place
from dcdaemon.admin.owner import acting_as
from dcdaemon.config.model import Config
from dcdaemon.core.audit import Change
from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import DcdError, Refused, StoreUnavailable
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor, JobQuery
from dcdaemon.runner.on_disk import job_ids
from dcdaemon.store import kept_envs
from dcdaemon.store.backup import copy_pages
from dcdaemon.store.carry_over import Carried, carry_over, given_ids, reserve_ids
from dcdaemon.store.check import Verdict, check_file, open_to_read
from dcdaemon.store.faults import why
from dcdaemon.store.part_file import SIDE_FILES, scratch, sync_directory
from dcdaemon.store.restored import forget_backup, put_jobs
from dcdaemon.store.seal import is_sealed, unseal
from dcdaemon.store.sql_store import open_store

#: As the daemon makes its database: for its group to read.
_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: from which schema, where the database of before is now, and what came along from it.

    `on_disk` are the jobs that only their directories told of; `warnings` what the backup has wrong in it.
    """

    database: Path
    backup: Path
    schema: str | None
    jobs: int
    environments: int
    kept_aside: Path | None
    carried: Carried
    on_disk: tuple[int, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the document that the command prints."""
        return {
            "database": str(self.database), "backup": str(self.backup), "backup_schema": self.schema,
            "jobs": self.jobs, "environments": self.environments,
            "kept_aside": None if self.kept_aside is None else str(self.kept_aside),
            "newer_jobs": list(self.carried.newer), "moved_jobs": list(self.carried.moved),
            "strangers": list(self.carried.strangers), "jobs_on_disk": list(self.on_disk),
            "warnings": list(self.warnings),
        }  # fmt: skip


def place_of(config: Config) -> Place:
    """Return the database to restore; raise Refused for one on a server."""
    return sqlite_place(config, "pg_restore --clean --if-exists --dbname=NAME FILE, with the daemon stopped")


def restore(place: Place, backup: Path, key_file: Path | None, actor: Actor, progress: Progress) -> Restored:
    """Check a backup and put it in place; the caller holds the lock of the state directory.

    Raise NotFound, Refused for what is no sound backup, StoreUnavailable; the present database is untouched then.
    """
    refuse_unreadable(backup)
    # The backup is the caller's to read; what it comes to may be the place of another user, and is his to write.
    with _told(backup), _ready(place, backup, key_file, progress) as fetch, acting_as(place.owner):
        place.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        with scratch(place.path.with_name(f"{place.path.name}.restoring")) as fresh:
            verdict = fetch(fresh)
            put_back = _opened(place, fresh)
            carried, on_disk = _caught_up(place, fresh)
            jobs = _noted(place, fresh, actor, {"backup": str(backup), "newer_jobs": len(carried.newer)}, on_disk)
            warnings = tuple(violation.message for violation in check_file(fresh).violations)
            kept = _swap(place, fresh)
    return Restored(place.path, backup, verdict.schema, jobs, put_back, kept, carried, on_disk, warnings)


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
    else:
        # Page by page and not as bytes: what was copied by hand may have its log beside it.
        with closing(open_to_read(backup)) as source:
            copy_pages(source, fresh, progress)
    return _judged(backup, fresh)


def _judged(backup: Path, fresh: Path) -> Verdict:
    """Refuse what is damaged, no database of ours, or of a newer program."""
    verdict = check_file(fresh)
    fatal = [violation for violation in verdict.violations if violation.rule in ("integrity", "schema")]
    if fatal:
        hint = "nothing was changed; dcd db check FILE tells all that is wrong with a backup"
        raise Refused(f"{backup} is not restored: {fatal[0].message}", hint)
    return verdict


def _opened(place: Place, fresh: Path) -> int:
    """Take the environments out and bring the database to the newest schema; return how many were put back."""
    with closing(open_to_write(fresh)) as database:
        put_back = kept_envs.take_out(database, place.envs)
        forget_backup(database)
    open_store(f"sqlite:///{fresh}", place.node).close()
    return put_back


def _caught_up(place: Place, fresh: Path) -> tuple[Carried, tuple[int, ...]]:
    """Bring in what has happened since the backup was made: from the present database, else from what lies on disk."""
    carried = Carried()
    with closing(open_to_write(fresh)) as database:
        if _is_readable(place.path):
            carried = carry_over(database, place.path)
            with closing(open_to_read(place.path)) as present:
                reserve_ids(database, given_ids(present))
        on_disk = behind(place.state_dir, place.node, _known(place, fresh))
        put_jobs(database, on_disk)
        reserve_ids(database, max(job_ids(place.state_dir), default=0))
    return carried, tuple(sorted(job.id for job in on_disk))


def _known(place: Place, fresh: Path) -> dict[int, Job]:
    store = open_store(f"sqlite:///{fresh}", place.node)
    try:
        return {job.id: job for job in store.jobs(JobQuery()) if job.node == place.node}
    finally:
        store.close()


def _is_readable(present: Path) -> bool:
    """Tell whether the database that is replaced is sound and of this schema: what it says is worth more than files."""
    try:
        verdict = check_file(present)
    except DcdError:
        return False
    return verdict.complete


def _noted(place: Place, fresh: Path, actor: Actor, detail: dict[str, object], on_disk: tuple[int, ...]) -> int:
    """Put the restore into the audit, and each job that nothing else tells of; return how many jobs there are."""
    store = open_store(f"sqlite:///{fresh}", place.node)
    try:
        store.note(Change("restore", "database", detail=detail), time.time(), actor)
        for job_id in on_disk:
            store.note(Change("restore", f"job {job_id}", job_id), time.time(), actor)
        return store.facts().jobs
    finally:
        store.close()


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
def _told(backup: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        reason, _ = why(error)
        hint = "the present database was left as it is"
        raise Refused(f"{backup} is not restored: {reason} ({error})", hint) from error
    except DcdError:
        raise
    except OSError as error:
        hint = "the present database was left as it is"
        raise StoreUnavailable(f"{backup} is not restored: {error.strerror or error}", hint) from error
