"""What a container runtime says of a container, over its socket, where root listens there and this process may ask.

The answer of `GET /containers/ID/json` is the same from docker and from podman's compatible service. Nobody is asked
twice in a minute who did not answer, and an answer is waited for only briefly: the GPUs are read once a second.
"""

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from dcdaemon.core.container import Container

SOCKETS: Mapping[str, Path] = {"docker": Path("/run/docker.sock"), "podman": Path("/run/podman/podman.sock")}
_ANSWER_WITHIN_S = 0.3
_SILENT_FOR_S = 60.0
_ANSWER_MAX_BYTES = 2**20
_MARK = "DCD_JOB_ID="


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a container beyond its id; None for what is not."""

    image: str | None = None
    names_job: int | None = None


class Runtimes:
    """Asks docker and podman; a socket that somebody other than its expected owner made is not trusted."""

    def __init__(self, sockets: Mapping[str, Path] = SOCKETS, owner_uid: int = 0) -> None:
        self._sockets = sockets
        self._owner_uid = owner_uid
        self._silent_until_s: dict[str, float] = {}

    def inspect(self, container: Container) -> Told:
        """Return what the runtime tells of a container; nothing of one that a user runs for himself."""
        path = self._sockets.get(container.runtime)
        now_s = time.monotonic()
        if path is None or container.owner_uid != self._owner_uid or now_s < self._silent_until_s.get(str(path), 0.0):
            return Told()
        try:
            if os.lstat(path).st_uid != self._owner_uid:
                return Told()
            return _told(_ask(path, container.id))
        except (OSError, HTTPException, ValueError):
            self._silent_until_s[str(path)] = now_s + _SILENT_FOR_S
            return Told()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_WITHIN_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_ANSWER_WITHIN_S)
        self.sock.connect(self._path)


def _ask(path: Path, container_id: str) -> object:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", f"/containers/{container_id}/json")
        answer = connection.getresponse()
        body = answer.read(_ANSWER_MAX_BYTES)
        return json.loads(body) if answer.status == 200 else None
    finally:
        connection.close()


def _told(document: object) -> Told:
    settings = document.get("Config") if isinstance(document, dict) else None
    if not isinstance(settings, dict):
        return Told()
    image, words = settings.get("Image"), settings.get("Env")
    marks = [word for word in words if isinstance(word, str)] if isinstance(words, list) else []
    return Told(image if isinstance(image, str) else None, job_named(marks))


def job_named(words: list[str]) -> int | None:
    """Return the job that `DCD_JOB_ID=...` among these assignments names."""
    found = (word.removeprefix(_MARK) for word in words if word.startswith(_MARK))
    return next((int(number) for number in found if number.isascii() and number.isdecimal() and len(number) < 19), None)
