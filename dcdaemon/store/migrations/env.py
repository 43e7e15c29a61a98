"""Alembic's entry: apply the migrations to the database whose URL the configuration carries."""

from alembic import context
from sqlalchemy import Connection, text

from dcdaemon.store.database import choose_database
from dcdaemon.store.postgresql import MIGRATION_LOCK
from dcdaemon.store.schema import metadata


def migrate() -> None:
    """Apply what is missing: within the transaction that is given, else in one of its own."""
    given = context.config.attributes.get("connection")
    if given is None:
        migrate_alone()
    else:
        run(given)


def migrate_alone() -> None:
    """Apply what is missing in one transaction; of several nodes on one server, one does it."""
    database = choose_database(context.config.attributes["url"])
    with database.connect(durable=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # the other one may take its time
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        run(connection)
    database.close()


def run(connection: Connection) -> None:
    """Apply what is missing."""
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    context.run_migrations()


migrate()
