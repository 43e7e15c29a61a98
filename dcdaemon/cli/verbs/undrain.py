"""`dcd undrain`: give a GPU back."""

import click

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.gpus import gpus_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("undrain", "dcd undrain 5", "dcd undrain 5 --json")
@click.argument("gpu", type=click.IntRange(0))
@daemon
@output
def command(client: Client, out: Output, gpu: int) -> None:
    """Let jobs use this GPU again. Operators only."""
    emit(gpus_page(client.post(f"/v1/gpus/{gpu}/undrain")), out)
