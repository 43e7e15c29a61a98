"""`dcd db backup`: a backup of the database that the daemon uses, while it does."""

import tempfile
from dataclasses import replace
from pathlib import Path

from dcdaemon.admin.db_place import Place, refuse_unreachable, sqlite_place
from dcdaemon.admin.owner import Owner, acting_as
from dcdaemon.config.model import Config
from dcdaemon.core.backup import BackupMade, BackupWish
from dcdaemon.core.errors import BadInput
from dcdaemon.store import seal
from dcdaemon.store.backup import check_target, take_over
from dcdaemon.store.sqlite import SqliteDatabase


def back_up(config: Config, path: Path, wish: BackupWish) -> BackupMade:
    """Write a backup to `path`, with the environments of its jobs; raise NotFound, Refused, StoreUnavailable."""
    place = sqlite_place(config, "pg_dump --format=custom --file=FILE, with the user and host of [storage] url")
    wish = replace(wish, envs=place.envs)
    if place.owner is None:
        return _made(place, path, wish)
    return _made_as(place.owner, place, path, wish)


def _made(place: Place, path: Path, wish: BackupWish) -> BackupMade:
    refuse_unreachable(place)
    database = SqliteDatabase(place.url, busy_timeout_s=5.0)
    try:
        return database.backup(path, wish)
    finally:
        database.close()


def _made_as(owner: Owner, place: Place, path: Path, wish: BackupWish) -> BackupMade:
    """Make it as the database's owner in a place of his, then take it over: what root may write is not his to name."""
    check_target(place.path, path, wish)
    with acting_as(owner), tempfile.TemporaryDirectory(prefix="dcd-backup-") as his:
        made = _made(place, Path(his) / "plain.db", replace(wish, key_file=None, force=False))
        plain = (Path(his) / "plain.db").open("rb")
    with plain:
        return take_over(plain, path, made, wish)


def make_key(path: Path) -> str:
    """Write a new key for encrypted backups and return its public half; raise Refused, BadInput."""
    try:
        return seal.make_key(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", "name a place of yours") from error
