"""`dcd bookings`: what is set aside, for whom and when."""

import click

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.bookings import bookings_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("bookings", "dcd bookings", "dcd bookings -a -o wide")
@click.option("-a", "--all", "past", is_flag=True, help="Those that are over or were called off, too.")
@daemon
@output
def command(client: Client, out: Output, *, past: bool) -> None:
    """List the bookings: GPUs, window, for whom they are, and the jobs that use them or are in their way."""
    emit(bookings_page(client.get("/v1/bookings", {"all": "true"} if past else None)), out)
