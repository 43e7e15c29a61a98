"""`dcd unbook`: call a booking off."""

import click

from dcdaemon.cli.options import Count, daemon, output, verb
from dcdaemon.cli.show.bookings import unbooked_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("unbook", "dcd unbook 3", "dcd unbook 3 --json")
@click.argument("booking", type=Count(1), metavar="ID")
@daemon
@output
def command(client: Client, out: Output, booking: int) -> None:
    """Give booked GPUs back to everybody, now; jobs that the booking let in go on. Operators only."""
    emit(unbooked_page(client.post(f"/v1/bookings/{booking}/unbook")), out)
