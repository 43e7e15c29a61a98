"""`dcd db backup`: a backup of the database that the daemon uses, while it does."""

from dataclasses import replace
from pathlib import Path

from dcdaemon.admin.db_place import refuse_unreachable, sqlite_place
from dcdaemon.config.model import Config
from dcdaemon.core.backup import BackupMade, BackupWish
from dcdaemon.core.errors import BadInput
from dcdaemon.store import seal
from dcdaemon.store.sqlite import SqliteDatabase


def back_up(config: Config, path: Path, wish: BackupWish) -> BackupMade:
    """Write a backup to `path`, with the environments of its jobs; raise NotFound, Refused, StoreUnavailable."""
    place = sqlite_place(config, "pg_dump --format=custom --file=FILE, with the user and host of [storage] url")
    refuse_unreachable(place)
    database = SqliteDatabase(place.url, busy_timeout_s=5.0)
    try:
        return database.backup(path, replace(wish, envs=place.envs))
    finally:
        database.close()


def make_key(path: Path) -> str:
    """Write a new key for encrypted backups and return its public half; raise Refused, BadInput."""
    try:
        return seal.make_key(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", "name a place of yours") from error
