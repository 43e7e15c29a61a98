"""`dcd share`: who has had what of the GPUs, and who comes next."""

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.cli.show.queues import shares_page
from dcdaemon.client.http import Client


@verb("share", "dcd share", "dcd share -o json")
@daemon
@output
def command(client: Client, out: Output) -> None:
    """List accounts and users with their share, the GPU time they have had, and whose turn is next.

    The past counts less, the longer ago it is. FACTOR is 1 for those who used nothing and 0.5 for those who used
    just their share. NEXT says in which order those with waiting jobs come, where a queue goes by fair-share.
    """
    emit(shares_page(client.get("/v1/shares")), out)
