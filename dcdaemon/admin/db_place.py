"""Which database the configuration names, and whether it can be got at from here."""

import contextlib
import os
import pwd
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dcdaemon.admin.owner import Owner, acting_as, owner_of
from dcdaemon.config.model import Config
from dcdaemon.core.errors import Forbidden, NotFound, Refused
from dcdaemon.store.database import name_of


@dataclass(frozen=True, slots=True)
class Place:
    """A SQLite database, and the state directory beside which its jobs have theirs."""

    path: Path
    state_dir: Path
    node: str
    #: Who can change what lies there, when that is not root, who asks; all that is done there is done as he.
    owner: Owner | None = None

    @property
    def name(self) -> str:
        """How people are told of it."""
        return str(self.path)

    @property
    def envs(self) -> Path:
        """Where the environments of jobs are kept."""
        return self.state_dir / "env"

    @property
    def url(self) -> str:
        """How the store is told of it."""
        return f"sqlite:///{self.path}"


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A database on a PostgreSQL server, and the state directory in which this node's jobs have theirs."""

    url: str
    #: It without its password, for people.
    name: str
    state_dir: Path
    node: str
    #: As who the state directory is read and written, and the server is asked; None: as we are.
    owner: Owner | None = None

    @property
    def envs(self) -> Path:
        """Where the environments of this node's jobs are kept."""
        return self.state_dir / "env"


def place_of(config: Config) -> Place | ServerPlace:
    """Return the database of the configuration; raise Refused where it is not clear whose it is."""
    if config.storage.url.startswith("sqlite:"):
        return sqlite_place(config)
    state_dir = Path(config.daemon.state_dir)
    name = name_of(config.storage.url)
    return ServerPlace(config.storage.url, name, state_dir, config.node.name, owner_of(state_dir))


def sqlite_place(config: Config) -> Place:
    """Return the SQLite database of the configuration; raise Refused where it is not clear whose it is."""
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


@contextlib.contextmanager
def acting_for(place: ServerPlace) -> Iterator[None]:
    """Act as the daemon's user, in whose home libpq looks for passwords and certificates; raise Forbidden."""
    before = os.environ.get("HOME")
    with acting_as(place.owner):
        try:
            if place.owner is not None:
                os.environ["HOME"] = _home_of(place.owner)
            yield
        finally:
            os.environ.pop("HOME", None)
            if before is not None:
                os.environ["HOME"] = before


def _home_of(owner: Owner) -> str:
    try:
        return pwd.getpwuid(owner.uid).pw_dir
    except KeyError:
        return "/"


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
