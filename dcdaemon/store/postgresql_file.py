"""The file of a backup of a PostgreSQL database: a tar that anybody can take apart, complete or told to be damaged.

dcdaemon-backup/README           what it is
dcdaemon-backup/database.dump    pg_dump's custom format
dcdaemon-backup/env/REF          environments of jobs
dcdaemon-backup/manifest.json    what it holds, with the SHA-256 of each of them
"""

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from dcdaemon.core.backup import Progress, untold
from dcdaemon.core.errors import Refused
from dcdaemon.store.kept_envs import REF

_ROOT = "dcdaemon-backup/"
_README, _DUMP, _ENVS, _MANIFEST = (_ROOT + name for name in ("README", "database.dump", "env/", "manifest.json"))
_FORMAT = "dcdaemon-postgresql-backup"
_VERSION = 1
_LONGEST_MANIFEST_BYTES = 16 << 20
_LONGEST_ENV_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_TEXT = """\
A backup of the PostgreSQL database of dcdaemon, made by dcd db backup on {node} at {at}.

dcd db check FILE and dcd db restore FILE take the whole file as it is. By hand:

    tar -xf FILE
    pg_restore --list dcdaemon-backup/database.dump
    pg_restore --no-owner --dbname=NAME dcdaemon-backup/database.dump    # into an empty database

That the schema "public" exists already is the one thing that pg_restore complains of then.

env/ has the environments of jobs of this node (STATE_DIR/env); they may hold secrets.
manifest.json tells what is in it, with the SHA-256 of each file.
"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself: whose environments it has, None for none at all, and pg_dump's major version."""

    node: str | None
    environments: tuple[str, ...] | None
    tool_major: int
    sums: Mapping[str, str]


class _Taken(Protocol):
    """Where the content of a member goes."""

    def write(self, block: bytes, /) -> object:
        """Take some of it."""
        ...


class _Hashed:
    """A file that is read once, and its SHA-256."""

    def __init__(self, file: IO[bytes], size: int, progress: Progress, step: str) -> None:
        self._file, self._size, self._progress, self._step = file, size, progress, step
        self._done, self._hash = 0, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        block = self._file.read(size)
        self._hash.update(block)
        self._done += len(block)
        self._progress(self._step, self._done, self._size)
        return block

    @property
    def sha256(self) -> str:
        """Of what has been read."""
        return self._hash.hexdigest()


def is_postgresql_file(path: Path) -> bool:
    """Tell whether a file is such a backup, whole or not; raise OSError."""
    with path.open("rb") as file:
        head = file.read(len(_README))
    return head == _README.encode()


def write_file(
    target: Path, facts: Mapping[str, Any], dump: Path, envs: Iterable[tuple[str, bytes]] | None, progress: Progress
) -> list[str]:
    """Write the file; return the environments that are in it; raise OSError."""
    at = time.strftime("%Y-%m-%d %H:%M:%S %z")
    sums: dict[str, str] = {}
    with target.open("wb") as raw, tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, _README, _TEXT.format(node=facts["node"], at=at).encode())
        with dump.open("rb") as file:
            size = dump.stat().st_size
            hashed = _Hashed(file, size, progress, "writing")
            tar.addfile(_info(_DUMP, size), hashed)
        sums[_DUMP] = hashed.sha256
        refs = []
        for ref, content in envs or ():
            _add(tar, _ENVS + ref, content)
            sums[_ENVS + ref] = hashlib.sha256(content).hexdigest()
            refs.append(ref)
        manifest = {
            "format": _FORMAT,
            "version": _VERSION,
            **facts,
            "environments": refs if envs is not None else None,
            "sha256": sums,
        }
        _add(tar, _MANIFEST, json.dumps(manifest, indent=2).encode())
    return refs


def unpack(file: BinaryIO, dump: Path, progress: Progress = untold) -> Manifest:
    """Check the whole file, write its dump to an empty one and return its manifest; raise Refused, OSError."""
    try:
        sums, text = _unpacked(file, dump, progress)
    except tarfile.TarError as error:
        raise _damaged(f"{error}") from error
    manifest = _manifest(text)
    for name in (_README, _MANIFEST):
        sums.pop(name, None)
    named = manifest.sums
    wrong = sorted(name for name in {_DUMP, *sums, *named} if sums.get(name, "") != named.get(name))
    if wrong:
        raise _damaged(f"{wrong[0]} is not what was put in")
    return manifest


def _unpacked(file: BinaryIO, dump: Path, progress: Progress) -> tuple[dict[str, str], bytes]:
    """Return the SHA-256 of each member, and the text of the manifest."""
    sums: dict[str, str] = {}
    text = io.BytesIO()
    with dump.open("wb") as target:
        places: dict[str, _Taken] = {_DUMP: target, _MANIFEST: text}
        for tar, member in _members(file):
            if member.name in sums:
                raise _damaged(f"{member.name} is in it twice")
            is_dump = member.name == _DUMP
            source = _Hashed(_content(tar, member), member.size, progress if is_dump else untold, "reading")
            _copy(source, places.get(member.name, io.BytesIO()), member)
            sums[member.name] = source.sha256
    return sums, text.getvalue()


def environments(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield the environments in a file that was checked."""
    for tar, member in _members(file):
        if member.name.startswith(_ENVS):
            yield member.name.removeprefix(_ENVS), _content(tar, member).read()


def _members(file: BinaryIO) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield what is in it, in order; a name that is none of ours leads nowhere; raise Refused, TarError."""
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            limit = _limit(member.name)
            if limit is None or not member.isreg() or member.size > limit:
                raise _damaged(f"{member.name!r} does not belong there")
            yield tar, member


def _limit(name: str) -> int | None:
    """Return how long a member may be; None for one that must not be there."""
    if name.startswith(_ENVS):
        return _LONGEST_ENV_BYTES if REF.fullmatch(name.removeprefix(_ENVS)) else None
    return {_README: _LONGEST_MANIFEST_BYTES, _MANIFEST: _LONGEST_MANIFEST_BYTES, _DUMP: 1 << 62}.get(name)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None  # noqa: S101  it is a regular file
    return content


def _copy(source: _Hashed, target: _Taken, member: tarfile.TarInfo) -> None:
    left = member.size
    while left:
        block = source.read(min(left, _BLOCK_BYTES))
        if not block:
            raise _damaged("it is cut short")
        target.write(block)
        left -= len(block)


def _manifest(text: bytes) -> Manifest:
    if not text:
        raise _damaged("it is cut short: its end is missing")
    try:
        told = json.loads(text)
        if told["format"] != _FORMAT:
            raise _damaged("its manifest is none")
        version = int(told["version"])
        if version > _VERSION:
            hint = "install the version that made it"
            raise Refused(f"it is of format {version}, this program knows {_VERSION} and older", hint)
        major = re.match(r"\d+", told["pg_dump"])
        envs = None if told["environments"] is None else tuple(told["environments"])
        return Manifest(told["node"], envs, int(major[0]) if major else 0, dict(told["sha256"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged("its manifest is none") from error


def _damaged(why: str) -> Refused:
    return Refused(f"it is damaged: {why}", "nothing was changed; use another backup")


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(time.time())
    return info


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_info(name, len(content)), io.BytesIO(content))
