"""Alembic's entry: apply the migrations to the database whose URL the configuration carries."""

from alembic import context
from sqlalchemy import text

from dcdaemon.store.database import choose_database
from dcdaemon.store.schema import metadata

#: Any number will do, as long as all daemons of one server use the same.
_LOCK = 7717


def migrate() -> None:
    """Apply what is missing in one transaction; of several nodes on one server, one does it."""
    database = choose_database(context.config.attributes["url"])
    with database.connect(durable=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # the other one may take its time
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
        context.run_migrations()
    database.close()


migrate()
