"""Empty a database without making it anew."""

import sqlalchemy as sa

from dcdaemon.store.schema import metadata


def empty(url: str) -> None:
    """Delete all rows and start numbering again; quicker than TRUNCATE where there are hardly any."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
            if connection.dialect.name == "postgresql" and table.autoincrement_column is not None:
                connection.execute(sa.text(f"ALTER SEQUENCE {table.name}_id_seq RESTART"))
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("DELETE FROM sqlite_sequence"))
