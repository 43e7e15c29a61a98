"""`dcd db`: back the database up, restore, check or migrate it."""

import contextlib
import os
import pwd
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from dcdaemon.cli.options import confirm, output, verb
from dcdaemon.cli.show import database as words
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.config.model import Config
from dcdaemon.core.backup import BackupWish, Progress, untold
from dcdaemon.core.errors import Refused
from dcdaemon.core.ports import Actor

if TYPE_CHECKING:
    from dcdaemon.admin.owner import Owner


@click.group("db", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Back the database up, restore, check or migrate it."""


_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE",
    help="The daemon's configuration, where it is not one of the usual files.",
)  # fmt: skip
_KEY = click.option(
    "--key-file", type=click.Path(path_type=Path), metavar="FILE",
    help="The age key that the backup is encrypted with; dcd db key makes one.",
)  # fmt: skip
_PATH = click.Path(path_type=Path, readable=False)  # whether it can be read is told in our own words
_FILE = click.argument("file", type=_PATH)


@verb("backup", "dcd db backup /backup/dcdaemon.db", "dcd db backup --key-file /root/backup.key /backup/day.age")
@_FILE
@_KEY
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@_CONFIG
@output
def backup(out: Output, file: Path, key_file: Path | None, config_file: Path | None, *, force: bool) -> None:
    """Write a consistent copy of the database, and of its jobs' environments, while the daemon runs."""
    from dcdaemon.admin.db_backup import back_up

    with _progress() as progress:
        made = back_up(_config(config_file), file.absolute(), BackupWish(None, key_file, force, progress))
    emit(words.backup_page(file, made), out)


@verb("restore", "dcd db restore /backup/dcdaemon.db", "dcd db restore --key-file /root/backup.key /backup/day.age")
@_FILE
@_KEY
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_CONFIG
@output
def restore(out: Output, file: Path, key_file: Path | None, config_file: Path | None, *, yes: bool) -> None:
    """Put a backup in the place of the database; the daemon must not run, its jobs may.

    The database of before is kept aside. What was submitted or has begun since comes along from it.
    """
    from dcdaemon.admin import db_restore

    place = db_restore.place_of(_config(config_file))
    with _daemon_kept_out(place.state_dir, place.owner):
        if not yes:
            confirm(f"Put {file} in the place of {place.name}?")
        with _progress() as progress:
            done = db_restore.restore(place, file.absolute(), key_file, _me(), progress)
    emit(words.restore_page(done.as_json()), out)


@verb("check", "dcd db check", "dcd db check /backup/dcdaemon.db", "dcd db check --key-file backup.key day.age")
@click.argument("file", required=False, type=_PATH)
@_KEY
@_CONFIG
@output
def check(out: Output, file: Path | None, key_file: Path | None, config_file: Path | None) -> int:
    """Check the database, or a backup: its pages, and all that must hold in it; exit with 1 when something does not."""
    from dcdaemon.admin.db_check import check_backup, check_present

    if file is None:
        name, verdict = check_present(_config(config_file))
    else:
        with _progress() as progress:
            name, verdict = str(file), check_backup(file.absolute(), key_file, progress)
    emit(words.check_page(name, verdict.as_json()), out)
    return 0 if verdict.ok else 1


@verb("migrate", "dcd db migrate --dry-run", "dcd db migrate")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@_CONFIG
@output
def migrate(out: Output, config_file: Path | None, *, dry_run: bool) -> None:
    """Bring the database to the schema of this version; a copy of a file as it was is kept beside it.

    The daemon does the same, without the copy, when it starts.
    """
    from dcdaemon.admin import db_migrate

    config = _config(config_file)
    if dry_run:
        planned = db_migrate.look(config)
    else:
        with _progress() as progress:
            planned = db_migrate.migrate(config, progress)
    emit(words.migration_page(planned.as_json(dry_run=dry_run)), out)


@verb("key", "dcd db key /root/backup.key", "dcd db key backup.key && grep -o 'age1.*' backup.key > backup.pub")
@_FILE
@output
def key(out: Output, file: Path) -> None:
    """Make a key for encrypted backups: an age key in a file that you alone can read."""
    from dcdaemon.admin.db_backup import make_key

    public = make_key(file)
    talk = "Without this file no backup made with it can be opened: keep a copy elsewhere."
    text = f"{file}\npublic key: {public}"
    row = {"file": str(file), "public_key": public}
    emit(Page({"schema": 1, **row}, [row], id_key="file", text=text, talk=talk), out)


def _config(file: Path | None) -> Config:
    from dcdaemon.config.load import load

    return load(None if file is None else [file]).config


def _me() -> Actor:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Actor(uid, os.getegid(), name, operator=True, via="command")


@contextlib.contextmanager
def _daemon_kept_out(state_dir: Path, owner: "Owner | None") -> Iterator[None]:
    """Hold the daemon's own lock, so that none starts meanwhile; raise Refused while one runs."""
    from dcdaemon.admin.owner import acting_as
    from dcdaemon.daemon.state_lock import lock_state_dir

    try:
        with acting_as(owner):
            lock = lock_state_dir(state_dir)
    except Refused as error:
        hint = "stop it first: systemctl stop dcdaemon; its jobs go on"
        raise Refused(f"the daemon runs, and would go on with the old database in {state_dir}", hint) from error
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Show a bar for each step where somebody looks; a polite end removes what is half done, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        if not sys.stderr.isatty():
            yield untold
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            yield _told_to(bar.add_task, bar.update)
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _told_to(add: Callable[..., object], update: Callable[..., None]) -> Progress:
    tasks: dict[str, object] = {}

    def tell(step: str, done: int, all_: int) -> None:
        if step not in tasks:
            tasks[step] = add(step)
        update(tasks[step], completed=done, total=all_)

    return tell


for part in (backup, restore, check, migrate, key):
    command.add_command(part)
