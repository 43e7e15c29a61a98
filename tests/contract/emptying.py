"""Empty a database without making it anew."""

import sqlalchemy as sa

from dcdaemon.store import append_only
from dcdaemon.store.schema import metadata

_GUARDS = {"sqlite": [text.format(table="audit") for text in append_only._SQLITE]}


def empty(url: str) -> None:
    """Delete all rows and start numbering again; quicker than TRUNCATE where there are hardly any."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name == "audit":
                unguard(connection)
            connection.execute(table.delete())
            if connection.dialect.name == "postgresql" and table.autoincrement_column is not None:
                connection.execute(sa.text(f"ALTER SEQUENCE {table.name}_id_seq RESTART"))
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("DELETE FROM sqlite_sequence"))
            for made in _GUARDS["sqlite"]:
                connection.execute(sa.text(made))
        else:
            connection.execute(sa.text("ALTER TABLE audit ENABLE TRIGGER USER"))


def unguard(connection: sa.Connection) -> None:
    """Let the owner of the database do for a moment what no program may: rewrite the audit."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER USER"))
        return
    for made in _GUARDS["sqlite"]:
        connection.execute(sa.text(f"DROP TRIGGER {made.split()[2]}"))
