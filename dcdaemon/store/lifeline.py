"""A hold on the database that outlives its name: what was accepted is saved when the file is deleted or replaced."""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dcdaemon.core.backup import untold
from dcdaemon.core.errors import Refused, StoreUnavailable
from dcdaemon.store.backup import copy_pages
from dcdaemon.store.part_file import part_of

log = logging.getLogger(__name__)
_SUFFIX = ".rescued-"
_TRY_AGAIN_S = 30.0


class Lifeline:
    """One connection that is never used but to save what it sees; SQLite removes no log that it has open."""

    def __init__(self, path: Path, open_database: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._open = open_database
        self._log = path.with_name(f"{path.name}-wal")
        self._log_inode: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._saved: Path | None = None
        self._tried_s = float("-inf")

    def log_is_there(self) -> bool:
        """Tell whether the log is the one that was there when it was taken hold of."""
        if self._connection is None:
            self._take_hold()
        return self._log_inode is None or _inode(self._log) == self._log_inode

    def _take_hold(self) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):  # what keeps it from it keeps the others, who tell
            if self._connection is None:
                connection = self._open()
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log
                self._connection, self._log_inode = connection, _inode(self._log)

    def save(self) -> str | None:
        """Write all that the lost file holds beside its name, once; return where, None while that is not possible."""
        with self._lock:
            now_s = time.monotonic()
            if self._saved is None and self._connection is not None and now_s - self._tried_s > _TRY_AGAIN_S:
                self._tried_s = now_s
                self._saved = self._write(self._connection)
            return None if self._saved is None else f"all that it held is in {self._saved}"

    def _write(self, connection: sqlite3.Connection) -> Path | None:
        target = self._path.with_name(f"{self._path.name}{_SUFFIX}{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            with part_of(target) as part:
                copy_pages(connection, part, untold)
        except (OSError, sqlite3.Error, Refused) as error:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            log.error("lost database not saved: %s", error, extra={"action": "database_not_saved"})  # noqa: TRY400
            return None
        log.critical("database lost its file", extra={"action": "database_saved", "file": str(target)})
        return target

    @property
    def hint(self) -> str:
        """Say what to do."""
        if self._saved is None:
            return "put the file back; leave this daemon running, it holds the only copy"
        return f"put the file back; or stop the daemon, dcd db restore {self._saved}, and start it: its jobs go on"

    def forget(self) -> None:
        """Remove what was saved once the file is back: it would only be older."""
        if self._saved is not None:
            with self._lock:
                self._saved.unlink(missing_ok=True)
                self._saved = None
                self._tried_s = float("-inf")
            log.warning("database is back", extra={"action": "database_back"})

    def close(self) -> None:
        """Let go; the last one to close folds the log into the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def refuse_to_begin_anew(path: Path) -> None:
    """Raise StoreUnavailable where a database is gone and what it held was saved: an empty one would hide that."""
    saved = sorted(path.parent.glob(f"{path.name}{_SUFFIX}*"), reverse=True)
    whole = [one for one in saved if not one.name.endswith(".part")]
    if whole and not path.exists():
        raise StoreUnavailable(
            f"the database {path} is gone; all that it held when it was lost is in {whole[0]}",
            f"dcd db restore {whole[0]}; or move that file away to begin with an empty database",
        )


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
