"""Run the migrations: python -m dcdaemon.store.migrate URL, or - to read the URL from standard input."""

import sys
import traceback
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError


def migrate(url: str) -> None:
    """Bring the database to the newest schema, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


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
