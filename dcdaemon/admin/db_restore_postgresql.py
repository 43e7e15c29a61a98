"""`dcd db restore` for a PostgreSQL database: its tables are moved aside, and those of the backup take their place."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dcdaemon.admin.db_place import ServerPlace, acting_for
from dcdaemon.admin.db_since import Restored, catch_up
from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import Refused
from dcdaemon.core.ports import Actor
from dcdaemon.store.kept_envs import put_back
from dcdaemon.store.postgresql_archive import Archive, sound_schema
from dcdaemon.store.postgresql_file import environments, is_postgresql_file, unpack
from dcdaemon.store.postgresql_restore import restored_server
from dcdaemon.store.postgresql_tools import restorer
from dcdaemon.store.seal import is_sealed, unseal


@dataclass(frozen=True, slots=True)
class _Backup:
    """A backup that was looked through: its file and its dump, both open, and its schema."""

    file: BinaryIO
    archive: Archive
    schema: str


def restore_server(
    place: ServerPlace, backup: Path, key_file: Path | None, actor: Actor, progress: Progress
) -> Restored:
    """Put a backup in the place of the database; raise Refused, StoreUnavailable, OSError: nothing has changed then."""
    # The backup is the caller's to read; the database is the daemon's user's, and so are environments.
    with _opened(backup, key_file, progress) as held, acting_for(place):
        with restored_server(place.url, place.node, str(backup)) as database:
            database.fill(held.archive, held.schema, progress)
            carried = database.carry_over()
            held_back = database.hold_others(actor)
            on_disk = catch_up(database, place, backup, carried, actor)
            warnings = (*held_back, *database.finish())
            jobs = database.count_jobs()
            # Before the end: a job that waits would be run without its environment.
            number = put_back(place.envs, environments(held.file))
        return Restored(
            place.name, backup, held.schema, jobs, number, database.kept_aside, carried, on_disk, warnings
        )  # fmt: skip


@contextlib.contextmanager
def _opened(backup: Path, key_file: Path | None, progress: Progress) -> Iterator[_Backup]:
    """Yield a backup that is whole and of a schema that we know, in a place that is ours alone."""
    with tempfile.TemporaryDirectory(prefix="dcd-restore-") as private, contextlib.ExitStack() as files:
        plain, dump = backup, _empty(Path(private) / "database.dump")
        if is_sealed(backup):
            plain = _empty(Path(private) / "plain.tar")
            unseal(backup, plain, key_file, progress)
        if not is_postgresql_file(plain):
            raise Refused("it is no backup of a PostgreSQL database", "dcd db check FILE tells what it is")
        file = files.enter_context(plain.open("rb"))
        manifest = unpack(file, dump, progress)
        archive = Archive(files.enter_context(dump.open("rb")), restorer(manifest.tool_major))
        yield _Backup(file, archive, sound_schema(archive))


def _empty(path: Path) -> Path:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path
