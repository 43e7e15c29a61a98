"""The tables of a PostgreSQL database moved aside, never deleted, and who may read those that take their place."""

import time
from collections.abc import Iterator, Sequence
from itertools import chain, count

from sqlalchemy import Connection, text

from dcdaemon.core.errors import Refused
from dcdaemon.store.own_tables import OWN_TABLES, VERSION_TABLE
from dcdaemon.store.revision import REVISIONS

#: Tables, whose they are and whether they are those of the owner of ours.
_TABLES = text(
    "SELECT own.relname AS name, own.relowner = version.relowner AS is_his FROM pg_class AS own "
    "JOIN pg_namespace AS space ON space.oid = own.relnamespace "
    "LEFT JOIN pg_class AS version ON version.oid = to_regclass(:version) "
    "WHERE space.nspname = :home AND own.relkind IN ('r', 'p')"
)
_GRANTS = text(
    "SELECT own.relname AS name, NULL AS of_column, acl.privilege_type AS what, acl.is_grantable AS may_pass_on,"
    " acl.grantee = 0 AS to_all, pg_get_userbyid(acl.grantee) AS whom "
    "FROM pg_class AS own JOIN pg_namespace AS space ON space.oid = own.relnamespace, aclexplode(own.relacl) AS acl "
    "WHERE space.nspname = :aside AND own.relkind IN ('r', 'p') AND acl.grantee <> own.relowner "
    "UNION ALL "
    "SELECT own.relname, its.attname, acl.privilege_type, acl.is_grantable, acl.grantee = 0,"
    " pg_get_userbyid(acl.grantee) "
    "FROM pg_class AS own JOIN pg_namespace AS space ON space.oid = own.relnamespace "
    "JOIN pg_attribute AS its ON its.attrelid = own.oid, aclexplode(its.attacl) AS acl "
    "WHERE space.nspname = :aside AND own.relkind IN ('r', 'p') AND acl.grantee <> own.relowner"
)
_VIEWS = text(
    "SELECT DISTINCT reader.oid::regclass::text FROM pg_depend AS needs "
    "JOIN pg_rewrite AS rule ON rule.oid = needs.objid AND needs.classid = 'pg_rewrite'::regclass "
    "JOIN pg_class AS reader ON reader.oid = rule.ev_class "
    "JOIN pg_class AS own ON own.oid = needs.refobjid AND needs.refclassid = 'pg_class'::regclass "
    "JOIN pg_namespace AS space ON space.oid = own.relnamespace "
    "WHERE space.nspname = :aside AND reader.oid <> own.oid"
)
_MAY_CREATE = text("SELECT has_database_privilege(current_database(), 'CREATE')")
_LAST_IDS = text(
    "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = :home AND last_value IS NOT NULL"
)


def own_tables(connection: Connection, home: str, schema: str | None) -> list[str]:
    """Name the tables of this program; of a schema that we do not know, all that the same owner has beside them."""
    known = OWN_TABLES.keys() | {VERSION_TABLE}
    foreign_schema = schema is not None and schema not in REVISIONS
    rows = connection.execute(_TABLES, {"home": home, "version": f"{quoted(connection, home)}.{VERSION_TABLE}"})
    return sorted(row.name for row in rows if row.name in known or (foreign_schema and row.is_his))


def lock(connection: Connection, home: str, tables: Sequence[str]) -> None:
    """Let nobody read or write these tables until the end: who starts meanwhile waits, and sees the new ones."""
    if tables:
        names = ", ".join(_name(connection, home, table) for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


def set_aside(connection: Connection, home: str, tables: Sequence[str]) -> str | None:
    """Move them into a new schema with all that belongs to them; return its name, None where there are none."""
    if not tables:
        return None
    if not connection.execute(_MAY_CREATE).scalar_one():
        database, user = connection.execute(text("SELECT current_database(), current_user")).one()
        hint = f"GRANT CREATE ON DATABASE {quoted(connection, database)} TO {quoted(connection, user)}"
        raise Refused(f"{user} may not make the schema in which the database of before is kept", hint)
    aside = _free_name(connection)
    connection.exec_driver_sql(f"CREATE SCHEMA {aside}")
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {_name(connection, home, table)} SET SCHEMA {aside}")
    return aside


def _free_name(connection: Connection) -> str:
    taken = set(connection.execute(text("SELECT nspname FROM pg_namespace")).scalars())
    name = time.strftime("before_restore_%Y%m%d_%H%M%S")
    return next(one for one in chain([name], (f"{name}_{number}" for number in count(2))) if one not in taken)


def last_ids(connection: Connection, home: str) -> dict[str, int]:
    """Return the last id that each table has given out."""
    rows = connection.execute(_LAST_IDS, {"home": home})
    return {name.removesuffix("_id_seq"): int(last) for name, last in rows if name.endswith("_id_seq")}


def grant_as_before(connection: Connection, home: str, aside: str) -> None:
    """Let everybody do with the new tables what they may do with those that were moved aside."""
    for row in connection.execute(_GRANTS, {"aside": aside}).all():
        if row.name not in OWN_TABLES or (row.of_column and row.of_column not in OWN_TABLES[row.name].columns):
            continue
        what = row.what if row.of_column is None else f"{row.what} ({quoted(connection, row.of_column)})"
        whom = "PUBLIC" if row.to_all else quoted(connection, row.whom)
        passed_on = " WITH GRANT OPTION" if row.may_pass_on else ""
        connection.exec_driver_sql(f"GRANT {what} ON {_name(connection, home, row.name)} TO {whom}{passed_on}")


def warnings_of(connection: Connection, aside: str) -> Iterator[str]:
    """Yield what goes on reading the database of before."""
    for view in connection.execute(_VIEWS, {"aside": aside}).scalars():
        yield f"the view {view} goes on reading the database of before, in {aside}: make it anew"


def quoted(connection: Connection, name: str) -> str:
    """Return a name as SQL has it."""
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _name(connection: Connection, home: str, table: str) -> str:
    return f"{quoted(connection, home)}.{quoted(connection, table)}"
