"""Environments of jobs: 0600 files outside the database, one file for equal environments of one user."""

import hashlib
import json
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from dcdaemon.core.errors import Refused, StartFailed, StoreUnavailable
from dcdaemon.core.units import format_bytes

_REF_CHARACTERS = 40
#: Of one user's environments together. An ordinary one has 4 KB, equal ones are kept once, and each is kept for a month
#: behind its last job: these are eight thousand different ones a day.
USER_MAX_BYTES = 1024**3
#: How each file begins.
_OWNER = re.compile(rb'{"uid": (\d+),')
_OWNER_BYTES = 32
_LEAST_AGE_S = 3600.0


class EnvFiles:
    """Keeps environments under one 0700 directory; names are keyed hashes, so they tell nothing of the content."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = self._load_key(directory / "key")
        self._lock = threading.Lock()
        self._used_bytes: Counter[int] = Counter()
        for path in directory.iterdir():
            if _is_env(path):
                self._used_bytes[_owner(path)] += path.stat().st_size

    def keep(self, uid: int, env: Mapping[str, str]) -> str:
        """Store an environment durably and return its reference.

        Raises Refused when the user has too many, and StoreUnavailable when the disk refuses.
        """
        content = json.dumps({"uid": uid, "env": dict(sorted(env.items()))}).encode("utf-8", "surrogatepass")
        ref = hashlib.blake2b(content, key=self._key, digest_size=_REF_CHARACTERS // 2).hexdigest()
        path = self._directory / ref
        try:
            os.utime(path)
        except FileNotFoundError:
            pass
        else:
            return ref
        self._take(uid, len(content))
        try:
            _write_durably(path, content)
        except OSError as error:
            self._take(uid, -len(content))
            raise StoreUnavailable(
                f"the job's environment could not be written to {self._directory}: {error.strerror}",
                "make room or make it writable; nothing was queued",
            ) from error
        return ref

    def _take(self, uid: int, size: int) -> None:
        with self._lock:
            used = self._used_bytes[uid] + size
            if size > 0 and used > USER_MAX_BYTES and uid not in {0, os.geteuid()}:
                raise Refused(
                    f"the environments of your jobs would take {format_bytes(used)}, of {format_bytes(USER_MAX_BYTES)}",
                    "submit jobs of one kind with one environment; those of old jobs are deleted each day",
                )
            self._used_bytes[uid] = used

    def load(self, ref: str) -> dict[str, str]:
        """Return a kept environment; raise StartFailed when it is gone or damaged."""
        try:
            content = json.loads((self._directory / ref).read_bytes())
            return {str(key): str(value) for key, value in content["env"].items()}
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise StartFailed(f"the job's environment {ref} cannot be read: {error}", "submit the job again") from error

    def keep_only(self, needed: Callable[[], set[str]]) -> int:
        """Delete environments that no job needs any more; returns how many.

        Only those that have lain untouched for an hour: a submit that is under way has not named its own yet.
        """
        untouched_since = time.time() - _LEAST_AGE_S
        old = [path for path in self._directory.iterdir() if _is_env(path) and path.stat().st_mtime < untouched_since]
        refs = needed() if old else set()
        stale = [path for path in old if path.name not in refs]
        for path in stale:
            self._take(_owner(path), -path.stat().st_size)
            path.unlink(missing_ok=True)
        return len(stale)

    def _load_key(self, path: Path) -> bytes:
        if not path.exists():
            _write_durably(path, secrets.token_bytes(32))
        return path.read_bytes()


def _is_env(path: Path) -> bool:
    return len(path.name) == _REF_CHARACTERS


def _owner(path: Path) -> int:
    """Return whose environment it is; -1, nobody's, where it is damaged."""
    with path.open("rb") as file:
        found = _OWNER.match(file.read(_OWNER_BYTES))
    return int(found[1]) if found else -1


def _write_durably(path: Path, content: bytes) -> None:
    """Write a 0600 file that is complete or absent, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk shall not be filled further, nor with secrets
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
