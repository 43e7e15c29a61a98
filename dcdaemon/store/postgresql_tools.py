"""The server's own programs, pg_dump and pg_restore: which one suits, and how it is told of a database."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy.engine import make_url

from dcdaemon.core.errors import BadConfig, Refused
from dcdaemon.core.secrecy import MASK, mask_text

#: Where packages put the programs of each version: Debian, and those built as RPMs.
_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)\S*)")
#: What the server hears of us; a daemon calls itself dcdaemon.
_SETTINGS = {"connect_timeout": "5", "application_name": "dcd db backup"}
_VERSION_S = 10.0
#: A message of a tool longer than this helps nobody.
_LONGEST_TOLD = 600


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of PostgreSQL that is installed here."""

    path: Path
    major: int
    version: str


def find_tool(name: str, major: int, whose: str) -> Tool:
    """Return the newest program of this name; raise Refused where it is missing or older than `whose` major version."""
    hint = f"install it: apt-get install postgresql-client-{major}, or dnf install postgresql{major}"
    found = [tool for path in _candidates(name) if (tool := _look_at(path))]
    if not found:
        raise Refused(f"{name} is not installed, and {whose} is PostgreSQL {major}", hint)
    newest = max(found, key=lambda tool: tool.major)
    if newest.major < major:
        raise Refused(f"{newest.path} is of version {newest.version}, too old: {whose} is PostgreSQL {major}", hint)
    return newest


def restorer(major: int) -> Tool:
    """Return the pg_restore for what pg_dump of this major version has made; raise Refused without one."""
    return find_tool("pg_restore", major, "the pg_dump that made this backup")


def _candidates(name: str) -> Iterator[Path]:
    # Debian's on the path is a script that chooses by the clusters of this machine: the programs themselves come first.
    for place in _PLACES:
        yield from (path / name for path in sorted(Path("/").glob(place)))
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)


def _look_at(path: Path) -> Tool | None:
    if not os.access(path, os.X_OK):
        return None
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_VERSION_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said.stdout)
    return None if match is None else Tool(path, int(match["major"]), match["version"])


def target_of(url: str) -> tuple[str, dict[str, str]]:
    """Return what to write behind --dbname, and the environment; raise BadConfig for what cannot be handed over.

    All options of the URL are libpq's, and are in the first; the password is in the second: arguments can be seen.
    """
    from psycopg import ProgrammingError  # noqa: PLC0415  an extra, which a SQLite database does without
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    parsed = make_url(url).set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {**_SETTINGS, **parsed.get_dialect()().create_connect_args(parsed)[1]}
    if "sslpassword" in options:
        message = "sslpassword in [storage] url cannot be handed to pg_dump, but for all users of the machine to see"
        raise BadConfig(message, "write it into a service file (pg_service.conf), and service=NAME into the url")
    password = options.pop("password", None)
    environment = {**os.environ, "LC_ALL": "C"}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    try:
        return make_conninfo(**options), environment
    except ProgrammingError as error:
        raise BadConfig(f"[storage] url: {' '.join(str(error).split())}", "use the options of libpq") from error


def password_of(url: str) -> str | None:
    """Return the password that the URL carries."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    password = parsed.get_dialect()().create_connect_args(parsed)[1].get("password")
    return None if password is None else str(password)


def said_by(lines: Sequence[str], password: str | None = None) -> str:
    """Return what a tool has complained of, as one line without secrets."""
    complaints = [line for line in lines if re.search(r"error:|FATAL|ERROR|could not|fatal", line)] or list(lines)[-3:]
    text = mask_text(" ".join(" ".join(complaints).split()))
    if password:
        text = text.replace(password, MASK)
    return text[:_LONGEST_TOLD] or "no message"


@contextlib.contextmanager
def running(command: Sequence[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running program, which is gone at the end, whatever happens; raise Refused when it does not start."""
    try:
        child = subprocess.Popen(command, **streams)
    except OSError as error:
        raise Refused(f"{command[0]} cannot be run: {error.strerror}", "look at its mode and owner") from error
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            _close(stream)


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with contextlib.suppress(BrokenPipeError):
            stream.close()
