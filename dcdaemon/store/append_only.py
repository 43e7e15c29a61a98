"""Guards a table so that rows can be added and nothing else: no program, and no person at a prompt, rewrites it.

Whoever owns the database can still drop the triggers; what is guarded against is a mistake and a lesser role.
"""

from sqlalchemy import DDL, Table, event

_SQLITE = (
    (
        "CREATE TRIGGER {table}_is_not_updated BEFORE UPDATE ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END"
    ),
    (
        "CREATE TRIGGER {table}_is_not_deleted BEFORE DELETE ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END"
    ),
    # INSERT OR REPLACE deletes without calling the trigger above.
    (
        "CREATE TRIGGER {table}_is_not_replaced BEFORE INSERT ON {table} "
        "WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END"
    ),
)
_POSTGRESQL = (
    (
        "CREATE OR REPLACE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the {table} table is append-only'; END $$"
    ),
    (
        "CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()"
    ),
    (
        "CREATE TRIGGER {table}_is_not_truncated BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION {table}_is_append_only()"
    ),
)


def guard(table: Table) -> None:
    """Have a table's triggers made together with it, on both databases."""
    for dialect, statements in (("sqlite", _SQLITE), ("postgresql", _POSTGRESQL)):
        for statement in statements:
            made: DDL = DDL(statement.format(table=table.name)).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", made)
