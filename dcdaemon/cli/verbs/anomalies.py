"""`dcd anomalies`: what looked wrong."""

import click

from dcdaemon.cli.options import Duration, daemon, output, verb
from dcdaemon.cli.show.ledger import anomalies_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("anomalies", "dcd anomalies --open", "dcd anomalies --ack 7")
@click.option("--since", type=Duration(), metavar="AGE", help="Raised at most so long ago.  [default: all]")
@click.option("--open", "still_open", is_flag=True, help="Only those that still hold.")
@click.option("--ack", type=int, metavar="ID", help="Note that you have seen this one.")
@daemon
@output
def command(client: Client, out: Output, since: float | None, ack: int | None, *, still_open: bool) -> None:
    """List anomalies, newest first, each found by a rule and kept with its evidence."""
    if ack is not None:
        client.post(f"/v1/anomalies/{ack}/ack")
    query = {"since_s": since, "open": int(still_open)}
    emit(anomalies_page(client.get("/v1/anomalies", query)), out)
