"""All commands in the order of the help, for the pages that tell of each."""

from collections.abc import Iterator
from itertools import groupby

import click

from dcdaemon.cli.catalog import VERBS
from dcdaemon.cli.main import dcd
from dcdaemon.cli.options import Verb


def chapters() -> Iterator[tuple[str, list[tuple[str, click.Command]]]]:
    """Yield each heading of the help with what is under it: a command by its path, like `dcd config show`."""
    for heading, verbs in groupby(VERBS, key=lambda verb: VERBS[verb][0]):
        yield heading, [each for verb in verbs for each in _commands(verb)]


def _commands(verb: str) -> Iterator[tuple[str, click.Command]]:
    command = dcd.get_command(click.Context(dcd, info_name="dcd"), verb)
    if isinstance(command, Verb):
        yield f"dcd {verb}", command
    if isinstance(command, click.Group):
        for part in command.commands.values():
            yield f"dcd {verb} {part.name}", part
