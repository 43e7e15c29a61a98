"""The backup of each day: made by the daemon, under the name of its day, the oldest forgotten."""

import logging
import re
import time
from pathlib import Path
from urllib.parse import quote

from dcdaemon.config.model import Storage
from dcdaemon.core.backup import BackupWish
from dcdaemon.core.errors import DcdError, StoreUnavailable
from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.ports import Store

log = logging.getLogger(__name__)


class DailyBackup:
    """Writes `dcdaemon-NODE-DAY.db`, or `.tar` of PostgreSQL, `.age` behind it where encrypted, and keeps so many."""

    def __init__(self, store: Store, storage: Storage, node: str, envs: Path, tell: Tell) -> None:
        self._store = store
        self._tell = tell
        self._place = Path(storage.backup_dir)
        self._keep = storage.backup_keep
        self._stem = f"dcdaemon-{quote(node, safe='')}-"
        key_file = Path(storage.backup_key_file) if storage.backup_key_file else None
        self._wish = BackupWish(envs, key_file, force=True)
        kind = ".tar" if storage.url.startswith("postgresql") else ".db"
        self._suffix = kind if key_file is None else f"{kind}.age"

    def make(self, now: float) -> Path:
        """Write today's backup, over one of the same day; what goes wrong is an event and is raised.

        Raise StoreUnavailable, BadInput for a wrong key.
        """
        try:
            return self._make(now)
        except Exception as error:
            reason = error.message if isinstance(error, DcdError) else str(error)
            self._tell(Event(now, EventKind.BACKUP_FAILED, "daily backup", f"the daily backup failed: {reason}"))
            raise

    def _make(self, now: float) -> Path:
        day = time.strftime("%Y-%m-%d", time.localtime(now))
        target = self._place / f"{self._stem}{day}{self._suffix}"
        made = self._store.backup(target, self._wish)
        log.info("backup made", extra={"action": "backup_made", "file": str(target), "bytes": made.size_bytes})
        try:
            self._forget_oldest()
        except OSError as error:
            message = f"old backups in {self._place} cannot be removed: {error.strerror}"
            raise StoreUnavailable(message, "check [storage] backup_dir") from error
        return target

    def _forget_oldest(self) -> None:
        """Remove all but the newest; nothing that this node has not named so, and none when all are to be kept."""
        ours = re.compile(re.escape(self._stem) + r"\d{4}-\d\d-\d\d\.(db|tar)(\.age)?")
        made = sorted(path for path in self._place.iterdir() if ours.fullmatch(path.name))
        for path in made[: -self._keep] if self._keep else []:
            path.unlink(missing_ok=True)
