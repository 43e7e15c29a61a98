"""Run the migrations: python -m dcdaemon.store.migrate URL, or - to read the URL from standard input."""

import sys
import traceback
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dcdaemon.store.own_tables import OWN_TABLES
from dcdaemon.store.revision import HEAD
from dcdaemon.store.schema import metadata


def migrate(url: str) -> None:
    """Bring the database to the newest schema, in one transaction."""
    config = _config()
    config.attributes["url"] = url
    command.upgrade(config, "head")


def build_within(connection: Connection, revision: str) -> None:
    """Make all tables as they were at this revision, within a transaction whose end is its maker's.

    Those of the newest one are made at once: that they are the same as migrated ones is tested.
    """
    config = _config(connection)
    if revision == HEAD:
        metadata.create_all(connection, tables=list(OWN_TABLES.values()), checkfirst=False)
        command.stamp(config, HEAD)
    else:
        command.upgrade(config, revision)


def migrate_within(connection: Connection) -> None:
    """Bring the database to the newest schema, within a transaction whose end is its maker's."""
    command.upgrade(_config(connection), "head")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def main() -> None:
    """Migrate; a failure is told in full, and its cause again in one last line, which the daemon repeats."""
    (given,) = sys.argv[1:]
    try:
        migrate(sys.stdin.read().strip() if given == "-" else given)
    except DBAPIError as error:
        traceback.print_exc()
        sys.exit(str(error.orig).strip().splitlines()[0])


if __name__ == "__main__":
    main()
