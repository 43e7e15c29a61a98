"""`dcd db check`: the database of the configuration with what lies beside it, or the file of a backup."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dcdaemon.admin.db_place import Place, ServerPlace, acting_for, place_of, refuse_unreachable, refuse_unreadable
from dcdaemon.admin.owner import acting_as
from dcdaemon.config.model import Config
from dcdaemon.core.backup import Progress
from dcdaemon.runner.on_disk import job_ids
from dcdaemon.store import kept_envs
from dcdaemon.store.check import Verdict, Violation, check_file, check_server, given_ids, open_to_read
from dcdaemon.store.postgresql_check import check_postgresql_file
from dcdaemon.store.postgresql_file import is_postgresql_file
from dcdaemon.store.seal import is_sealed, unseal


def check_present(config: Config) -> tuple[str, Verdict]:
    """Check the database that the daemon uses, while it does, and name it.

    Raise NotFound, Forbidden, StoreUnavailable.
    """
    place = place_of(config)
    if isinstance(place, ServerPlace):
        with acting_for(place):
            return check_server(place.url)
    with acting_as(place.owner):
        refuse_unreachable(place)
        verdict = check_file(place.path)
        if verdict.complete:
            verdict = replace(verdict, violations=(*verdict.violations, *_beside(place)))
    return str(place.path), verdict


def check_backup(path: Path, key_file: Path | None, progress: Progress) -> Verdict:
    """Check the file of a backup, which is only read; raise NotFound, Refused for a wrong key, StoreUnavailable."""
    refuse_unreadable(path)
    with tempfile.TemporaryDirectory(prefix="dcd-check-") as directory:
        plain = path
        if is_sealed(path):
            plain = Path(directory) / "plain"
            os.close(os.open(plain, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            unseal(path, plain, key_file, progress)
        if is_postgresql_file(plain):
            return check_postgresql_file(plain, Path(directory), progress)
        return check_file(plain)


def _beside(place: Place) -> Iterator[Violation]:
    """Yield what the database expects to find in the state directory and does not, and the other way round."""
    with closing(open_to_read(place.path)) as raw:
        needed, given = _facts(raw)
    if os.access(place.envs, os.R_OK | os.X_OK, effective_ids=True):
        for ref in needed:
            if not (place.envs / ref).is_file():
                yield Violation("environments", f"the environment {ref} of an unfinished job is not in {place.envs}")
    newest = max(job_ids(place.state_dir), default=0)
    if newest > given:
        yield Violation("ids", f"job {newest} has a directory, and its id would be given to a new job")


def _facts(raw: sqlite3.Connection) -> tuple[list[str], int]:
    return kept_envs.needed(raw), given_ids(raw)
