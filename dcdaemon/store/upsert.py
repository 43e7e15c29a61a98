"""INSERT ... ON CONFLICT, which both databases speak alike and SQLAlchemy spells twice."""

import functools
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(dialect: str, table: Table) -> Any:
    """Return the dialect's own INSERT, which knows on_conflict_do_update() and on_conflict_do_nothing()."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def upsert(connection: Connection, table: Table, *, add: tuple[str, ...] = ()) -> Insert:
    """Return an INSERT that replaces the row of the same key, adding to the columns of `add` instead."""
    return _upsert(connection.dialect.name, table, add)


@functools.cache
def _upsert(dialect: str, table: Table, add: tuple[str, ...]) -> Insert:
    statement = insert_into(dialect, table)
    new = statement.excluded
    keys = {column.name for column in table.primary_key}
    changed: dict[str, ColumnElement[Any]] = {
        column.name: table.c[column.name] + new[column.name] if column.name in add else new[column.name]
        for column in table.columns
        if column.name not in keys
    }
    upserted: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
    return upserted
