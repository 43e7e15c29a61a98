"""What is asked of a backup, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Hears which step is under way, and how much of how much is done.
Progress = Callable[[str, int, int], None]


def untold(_step: str, _done: int, _all: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class BackupWish:
    """How a backup is made: with which environments, encrypted with which key, over an older file or not.

    `envs` is the directory of the environments of jobs, None leaves them out; `node` is whose directory that is, where
    several share a database; `key_file` is an age key, None leaves the backup readable by whoever can read the file.
    """

    envs: Path | None = None
    key_file: Path | None = None
    force: bool = False
    progress: Progress = untold
    node: str | None = None


#: The database alone, readable, to a name that is free.
PLAIN = BackupWish()


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A backup that is complete: its size and schema, what it holds, and the environments that could not be read."""

    size_bytes: int
    schema: str | None
    jobs: int
    environments: int
    missing: tuple[str, ...] = ()
    encrypted: bool = False
