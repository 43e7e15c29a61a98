"""`dcd energy`: who or what used how much."""

import click

from dcdaemon.cli.options import Duration, daemon, output, verb
from dcdaemon.cli.show.ledger import energy_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("energy", "dcd energy", "dcd energy --by job --since 7d")
@click.option(
    "--by",
    type=click.Choice(("user", "job", "gpu", "day")),
    default="user",
    show_default=True,
    help="One row each.",
)
@click.option("--since", type=Duration(), metavar="AGE", help="Booked at most so long ago.  [default: all]")
@daemon
@output
def command(client: Client, out: Output, by: str, since: float | None) -> None:
    """Sum the measured energy, with cost and carbon where configured; `idle` is what no job used."""
    emit(energy_page(client.get("/v1/energy", {"by": by, "since_s": since})), out)
