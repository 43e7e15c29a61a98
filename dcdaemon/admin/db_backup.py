"""`dcd db backup`: a backup of the database that the daemon uses, while it does."""

import tempfile
from dataclasses import replace
from pathlib import Path

from dcdaemon.admin.db_place import Place, ServerPlace, acting_for, place_of, refuse_unreachable
from dcdaemon.admin.owner import acting_as
from dcdaemon.config.model import Config
from dcdaemon.core.backup import BackupMade, BackupWish
from dcdaemon.core.errors import BadInput
from dcdaemon.store import seal
from dcdaemon.store.backup import check_target, refuse_itself, take_over
from dcdaemon.store.database import choose_database


def back_up(config: Config, path: Path, wish: BackupWish) -> BackupMade:
    """Write a backup to `path`, with the environments of its jobs; raise NotFound, Refused, StoreUnavailable."""
    place = place_of(config)
    wish = replace(wish, envs=place.envs, node=place.node)
    return _made(place, path, wish) if place.owner is None else _made_as_owner(place, path, wish)


def _made(place: Place | ServerPlace, path: Path, wish: BackupWish) -> BackupMade:
    if isinstance(place, Place):
        refuse_unreachable(place)
    database = choose_database(place.url)
    try:
        return database.backup(path, wish)
    finally:
        database.close()


def _made_as_owner(place: Place | ServerPlace, path: Path, wish: BackupWish) -> BackupMade:
    """Make it as the database's owner in a place of his, then take it over: what root may write is not his to name."""
    if isinstance(place, Place):
        refuse_itself(place.path, path)
    check_target(path, wish)
    acting = acting_as(place.owner) if isinstance(place, Place) else acting_for(place)
    with acting, tempfile.TemporaryDirectory(prefix="dcd-backup-") as his:
        made = _made(place, Path(his) / "plain", replace(wish, key_file=None, force=False))
        plain = (Path(his) / "plain").open("rb")
    with plain:
        return take_over(plain, path, made, wish)


def make_key(path: Path) -> str:
    """Write a new key for encrypted backups and return its public half; raise Refused, BadInput."""
    try:
        return seal.make_key(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", "name a place of yours") from error
