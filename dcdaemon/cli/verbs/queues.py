"""`dcd queues`: which queues there are, what runs and waits in them, and what you may use."""

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.cli.show.queues import queues_page
from dcdaemon.client.http import Client


@verb("queues", "dcd queues", "dcd queues -o wide", "dcd submit -Q short -g 1 -- python train.py")
@daemon
@output
def command(client: Client, out: Output) -> None:
    """List the queues: GPUs, order, limits, what runs and waits; the default one has a star.

    Below stands what you use, beside your quota and your limits; what is lent to you beyond a quota can be recalled.
    """
    emit(queues_page(client.get("/v1/queues")), out)
