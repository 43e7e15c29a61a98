"""The JSON file that a root unit writes for the daemon, which reads it when another one has taken its place."""

import json
from pathlib import Path
from typing import Any

_SCHEMA = 1


class UnitFile:
    """One such file; the unit replaces it whole, so what is there is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, int] | None = None

    def replaced(self) -> bool:
        """Tell, once, that there is a file which was not there at the last call."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        before, self._version = self._version, (stat.st_mtime_ns, stat.st_ino)
        return self._version != before

    def document(self) -> dict[str, Any] | None:
        """Return what it holds; None when that is no document of ours."""
        try:
            document = json.loads(self.path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and document.get("schema") == _SCHEMA else None
