"""`dcd submit --sbatch FILE`: the script's job, with what was written on the command line on top."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from dcdaemon.cli.sbatch.job import Line, make_job
from dcdaemon.cli.show.output import talk
from dcdaemon.client.http import Client

#: Options whose name is not that of the field.
_FIELDS = {"log": "log_path"}


def read_sbatch(
    client: Client, file: str, wish: Mapping[str, Any], env: Mapping[str, str], arguments: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the job and its environment as the API takes them; tell on stderr what of the lines is not carried out."""
    context = click.get_current_context()
    written = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    line = Line(wish, {_FIELDS.get(name, name) for name in written}, env, context.params["pairs"], arguments)
    made = make_job(client, file, line, keep=not context.params["dry_run"])
    for note in made.notes:
        talk(f"note: {note}")
    return made.job, made.env
