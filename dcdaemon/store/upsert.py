"""INSERT ... ON CONFLICT, which both databases speak alike and SQLAlchemy spells twice."""

import functools
from collections.abc import Sequence
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


def put_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows in the order of the table's columns; each replaces the row of the same key.

    Written out as SQL once: samples are most of what is ever written, and SQLAlchemy has a price for each row.
    """
    if rows:
        connection.exec_driver_sql(_put(connection.dialect.name, table), list(rows))


@functools.cache
def _put(dialect: str, table: Table) -> str:
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    marks = bind(dialect, ", ".join("?" * len(names)))
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) "  # noqa: S608  names are ours
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
    )


def bind(dialect: str, sql: str) -> str:
    """Return SQL with the places of its values as the database's driver writes them."""
    return sql if dialect == "sqlite" else sql.replace("?", "%s")
