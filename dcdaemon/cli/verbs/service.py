"""`dcd service`: installs the daemon under systemd, and removes it again."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcdaemon.cli.connect import connect
from dcdaemon.cli.options import Callback, confirm, verb
from dcdaemon.cli.show.output import say, talk
from dcdaemon.core.errors import DcdError

if TYPE_CHECKING:
    from dcdaemon.admin.layout import Texts


@click.group("service", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Install the daemon under systemd, or remove it."""


def _where(function: Callback) -> Callback:
    """Add what both verbs take: whose service, whether only to show it, and an image in place of this machine."""
    function = click.option("--user", is_flag=True, help="For you alone, without root; jobs run as you.")(function)
    function = click.option("--dry-run", is_flag=True, help="Print each step, and do none.")(function)
    image = click.option("--root", type=click.Path(file_okay=False, exists=True, path_type=Path), hidden=True)
    return image(function)


@verb("install", "sudo dcd service install", "dcd service install --user", "sudo dcd service install --dry-run")
@_where
def install(root: Path | None, *, user: bool, dry_run: bool) -> None:
    """Install units, directories, completion and man page; start the daemon and wait until it is ready.

    Done again, it changes only what is not as it should be: so it also upgrades. Files of yours are never changed.
    """
    from dcdaemon.admin.service import Wish, install_service

    changes = install_service(Wish(user=user, dry_run=dry_run, root=root, texts=_texts(), say=say))
    if not changes:
        say("nothing to change: everything is as it should be")
    elif not dry_run:
        log = f"journalctl {'--user ' * user}-u dcdaemon"
        talk(f"dcd doctor checks what the service found here; {log} shows its log.")


@verb("remove", "sudo dcd service remove", "sudo dcd service remove --force", "dcd service remove --user --dry-run")
@_where
@click.option("--force", is_flag=True, help="Also while jobs run: they go on, and a later service adopts them.")
@click.option("--purge", is_flag=True, help="The data too: database, logs of jobs, configuration.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the data are removed.")
def remove(root: Path | None, *, user: bool, dry_run: bool, force: bool, purge: bool, yes: bool) -> None:
    """Stop the daemon and remove what `install` put there; data and configuration stay unless you --purge."""
    from dcdaemon.admin.service import Wish, remove_service

    if purge and not yes and not dry_run:
        confirm("Remove the database, the logs of all jobs and the configuration?")
    wish = Wish(user=user, dry_run=dry_run, root=root, texts=_texts(), say=say)
    remove_service(wish, running=_running() if root is None else 0, force=force, purge=purge)
    if not purge and not dry_run:
        again = f"{wish.environment.programs / 'dcd'} service install{' --user' * user}"
        talk(f"Data and configuration are still there; {again} takes them up again.")


def _texts() -> "Texts":
    from dcdaemon.admin.layout import Texts
    from dcdaemon.cli.completion import scripts
    from dcdaemon.cli.man import man_page

    return Texts(scripts(), man_page())


def _running() -> int:
    """Return how many jobs the daemon knows to run; 0 when it does not answer (systemd is asked besides)."""
    try:
        return int(connect(None, None).get("/v1/status")["queue"]["running"])
    except (DcdError, KeyError):
        return 0


command.add_command(install)
command.add_command(remove)
