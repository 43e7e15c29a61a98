"""Which database the configuration names, and whether it can be got at from here."""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dcdaemon.admin.owner import Owner, owner_of
from dcdaemon.config.model import Config
from dcdaemon.core.errors import Forbidden, NotFound, Refused


@dataclass(frozen=True, slots=True)
class Place:
    """A SQLite database, and the state directory beside which its jobs have theirs."""

    path: Path
    state_dir: Path
    node: str
    #: Who can change what lies there, when that is not root, who asks; all that is done there is done as he.
    owner: Owner | None = None

    @property
    def envs(self) -> Path:
        """Where the environments of jobs are kept."""
        return self.state_dir / "env"

    @property
    def url(self) -> str:
        """How the store is told of it."""
        return f"sqlite:///{self.path}"


def sqlite_place(config: Config, instead: str) -> Place:
    """Return the SQLite database of the configuration; raise Refused, with what to use `instead`, for a server."""
    if not config.storage.url.startswith("sqlite:"):
        raise Refused("the database is on a PostgreSQL server, which has tools of its own for this", instead)
    path = Path(config.storage.url.removeprefix("sqlite:///"))
    state_dir = Path(config.daemon.state_dir)
    return Place(path, state_dir, config.node.name, _owner(path, state_dir))


def _owner(path: Path, state_dir: Path) -> Owner | None:
    """Return the user, other than root, to whom both belong, or the one that is not root's; raise Refused for two."""
    of_database, of_state = owner_of(path), owner_of(state_dir)
    if None not in (of_database, of_state) and of_database != of_state:
        raise Refused(
            f"the database {path} and the state directory {state_dir} belong to different users",
            "run it as the user of the daemon",
        )
    return of_state or of_database


def refuse_unreachable(place: Place) -> None:
    """Raise NotFound where there is no database, Forbidden where it is not for this user."""
    if not _is_file(place.path):
        raise NotFound(
            f"there is no database {place.path}",
            "it is where [storage] url says: dcd config show; --config FILE names the daemon's configuration",
        )
    if not os.access(place.path, os.R_OK | os.W_OK, effective_ids=True):
        raise Forbidden(
            f"the database {place.path} is not yours to read",
            "its owner, mostly root, makes backups; [storage] backup_dir has the daemon make one each day",
        )


def refuse_unreadable(backup: Path) -> None:
    """Raise NotFound where there is no such backup, Forbidden where it is not for this user."""
    if not _is_file(backup):
        raise NotFound(f"there is no backup {backup}", "dcd db backup FILE makes one")
    if not os.access(backup, os.R_OK):
        raise Forbidden(f"the backup {backup} is not yours to read", "it holds what all jobs were given")


def _is_file(path: Path) -> bool:
    """Tell whether it is one, or may be one behind a directory that is closed to us."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a database that is there, and that no daemon uses; raise sqlite3.Error."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)
