"""Tell a database that cannot take writes now from a mistake of ours, and say which trouble it is."""

import re

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from dcdaemon.core.errors import StoreUnavailable

#: What SQLite says when a column or a table is not there.
_NOT_OURS = re.compile(r"no such (table|column)|has no column named")
_OTHER_SCHEMA = (
    "its tables are not those of this program",
    "another version has changed them: restart the daemon with that version",
)

#: SQLite's error names, by prefix: why, and what to do.
_SQLITE = {
    "SQLITE_BUSY": ("another program holds its lock", "end that program; `fuser` on the file names it"),
    "SQLITE_LOCKED": ("another program holds its lock", "end that program; `fuser` on the file names it"),
    "SQLITE_PROTOCOL": ("another program holds its lock", "end that program; `fuser` on the file names it"),
    "SQLITE_READONLY": (
        "it is read-only",
        "check the owner and mode of the file and of its directory, and the mount",
    ),
    "SQLITE_PERM": ("access is denied", "check the owner and mode of the file and of its directory"),
    "SQLITE_AUTH": ("access is denied", "check the owner and mode of the file and of its directory"),
    "SQLITE_CANTOPEN": ("it cannot be opened", "check that its directory exists and may be written"),
    "SQLITE_FULL": ("the disk is full", "free some space; nothing else needs to be done"),
    "SQLITE_IOERR": ("the disk reports an error", "check the disk with dmesg, and its free space"),
    "SQLITE_CORRUPT": ("it is damaged", "stop the daemon and put back a backup"),
    "SQLITE_NOTADB": ("it is not a database", "stop the daemon and put back a backup"),
}

#: PostgreSQL's states, by prefix: why, and what to do.
_POSTGRESQL = {
    "25006": ("it is read-only", "point the daemon at the primary server"),
    "28": ("it refuses the login", "check user and password in [storage] url"),
    "3D000": ("there is no such database", "create it, or correct [storage] url"),
    "42501": ("the user may not do this", "grant the user rights on the database's schema"),
    "55P03": ("another program holds its lock", "end that program; pg_stat_activity shows it"),
    "53100": ("the disk is full", "free some space on the database server"),
    "53": ("it has run out of resources", "look at the log of the database server"),
    "57P": (
        "it is shutting down or starting",
        "start the database server; the daemon connects again by itself",
    ),
    "42P01": _OTHER_SCHEMA,
    "42703": _OTHER_SCHEMA,
    "40": ("two transactions stood in each other's way", "try again"),
}
_NOT_LET_IN = re.compile(r"authentication failed|no password supplied|no pg_hba.conf entry|role .* does not exist")
_POSTGRESQL_GONE = ("the connection failed", "start the database server; the daemon connects again by itself")


def unavailable(error: Exception, database: str) -> StoreUnavailable | None:
    """Return the error to show for trouble with the database itself, or None for any other error."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", None)
    if name is not None:
        reason = _OTHER_SCHEMA if _NOT_OURS.search(str(cause)) else _look_up(_SQLITE, name)
        return _told(database, reason, cause)
    reason = _look_up(_POSTGRESQL, getattr(cause, "sqlstate", None) or "")
    if reason is None and is_disconnect(error):
        # Who is not let in gets no state from the server, only words.
        reason = _look_up(_POSTGRESQL, "28") if _NOT_LET_IN.search(str(cause)) else _POSTGRESQL_GONE
    return _told(database, reason, cause)


def why(error: Exception) -> tuple[str, str]:
    """Return why SQLite failed, and what to do."""
    unknown = ("the database failed", "look at the disk and at the rights of the file")
    cause = error.orig if isinstance(error, DBAPIError) else error
    return _look_up(_SQLITE, getattr(cause, "sqlite_errorname", "")) or unknown


def is_corrupt(error: Exception) -> bool:
    """Tell whether SQLite has found pages that it has not written so."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlite_errorname", "")).startswith("SQLITE_CORRUPT")


def is_disconnect(error: Exception) -> bool:
    """Tell whether the connection itself is gone."""
    if not isinstance(error, DBAPIError) or hasattr(error.orig, "sqlite_errorname"):
        return False
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def _look_up(table: dict[str, tuple[str, str]], code: str) -> tuple[str, str] | None:
    return next((reason for prefix, reason in table.items() if code.startswith(prefix)), None)


def _told(database: str, reason: tuple[str, str] | None, cause: object) -> StoreUnavailable | None:
    if reason is None:
        return None
    why, hint = reason
    said = str(cause).strip().splitlines() or [""]
    return StoreUnavailable(f"the database {database} takes no writes now: {why} ({said[0]})", hint)
