"""`dcd drain`: take a GPU out of use."""

import click

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.gpus import gpus_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("drain", 'dcd drain 5 --reason "ECC errors, ticket 881"', "dcd drain 0 --reason maintenance")
@click.argument("gpu", type=click.IntRange(0))
@click.option("--reason", required=True, metavar="TEXT", help="Shown to everybody whose job waits for it.")
@daemon
@output
def command(client: Client, out: Output, gpu: int, reason: str) -> None:
    """Give no new job this GPU; a job that is on it goes on. Operators only."""
    emit(gpus_page(client.post(f"/v1/gpus/{gpu}/drain", {"reason": reason})), out)
