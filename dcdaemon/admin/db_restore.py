"""`dcd db restore`: put a backup in the place of the database; what was accepted or has run since is not forgotten."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dcdaemon.admin.db_place import Place, ServerPlace, place_of, refuse_unreadable
from dcdaemon.admin.db_restore_sqlite import restore_file
from dcdaemon.admin.db_since import Restored
from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import DcdError, StoreUnavailable
from dcdaemon.core.ports import Actor

__all__ = ["place_of", "restore"]


def restore(
    place: Place | ServerPlace, backup: Path, key_file: Path | None, actor: Actor, progress: Progress
) -> Restored:
    """Check a backup and put it in place; the caller holds the lock of the state directory.

    Raise NotFound, Refused for what is no sound backup, StoreUnavailable; the present database is untouched then.
    """
    refuse_unreadable(backup)
    with _told(backup):
        if isinstance(place, ServerPlace):
            from dcdaemon.admin.db_restore_postgresql import restore_server  # noqa: PLC0415  its driver is an extra

            return restore_server(place, backup, key_file, actor, progress)
        return restore_file(place, backup, key_file, actor, progress)


@contextlib.contextmanager
def _told(backup: Path) -> Iterator[None]:
    """Tell any trouble as one error about the backup."""
    hint = "the present database was left as it is"
    try:
        yield
    except DcdError as error:
        if str(backup) in error.message:
            raise
        raise type(error)(f"{backup} is not restored: {error.message}", error.hint or hint) from error
    except OSError as error:
        raise StoreUnavailable(f"{backup} is not restored: {error.strerror or error}", hint) from error
