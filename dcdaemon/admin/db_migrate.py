"""`dcd db migrate`: bring the database to this program's schema, with a copy of it as it was beside it."""

import time
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.admin.db_place import refuse_unreachable, sqlite_place
from dcdaemon.admin.owner import Owner, acting_as
from dcdaemon.config.model import Config
from dcdaemon.core.backup import BackupWish, Progress
from dcdaemon.store.sql_store import open_store, pending_schemas
from dcdaemon.store.sqlite import SqliteDatabase


@dataclass(frozen=True, slots=True)
class Migration:
    """From which schema, None for an empty database, through which others; the copy of before, where one was made."""

    stored: str | None
    steps: tuple[str, ...]
    copy: Path | None = None

    def as_json(self, *, dry_run: bool) -> dict[str, object]:
        """Return the document that the command prints."""
        copy = None if self.copy is None else str(self.copy)
        return {"from_schema": self.stored, "steps": list(self.steps), "copy": copy, "dry_run": dry_run}


def look(config: Config) -> Migration:
    """Return what a migration would do; raise NotFound, Forbidden, StoreUnavailable."""
    with acting_as(_owner(config)):
        return _look(config)


def migrate(config: Config, progress: Progress) -> Migration:
    """Copy the database, then migrate it in one transaction; raise StoreUnavailable, which leaves it as it was."""
    with acting_as(_owner(config)):
        return _migrate(config, progress)


def _owner(config: Config) -> Owner | None:
    """Return the user, other than root, whose place a database in a file is in."""
    return sqlite_place(config).owner if config.storage.url.startswith("sqlite:") else None


def _look(config: Config) -> Migration:
    if config.storage.url.startswith("sqlite:"):
        refuse_unreachable(sqlite_place(config))
    return Migration(*pending_schemas(config.storage.url))


def _migrate(config: Config, progress: Progress) -> Migration:
    planned = _look(config)
    if not planned.steps:
        return planned
    copy = None
    if config.storage.url.startswith("sqlite:") and planned.stored is not None:
        place = sqlite_place(config)
        at = time.strftime("%Y%m%d-%H%M%S")
        copy = place.path.with_name(f"{place.path.name}.schema-{planned.stored}-{at}")
        SqliteDatabase(place.url, busy_timeout_s=5.0).backup(copy, BackupWish(progress=progress))
    open_store(config.storage.url, config.node.name).close()
    return Migration(planned.stored, planned.steps, copy)
