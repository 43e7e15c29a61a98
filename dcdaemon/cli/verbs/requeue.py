"""`dcd requeue`: run jobs again."""

from collections.abc import Sequence

from dcdaemon.cli.act import act
from dcdaemon.cli.options import daemon, output, selectors, verb
from dcdaemon.cli.show.output import Output
from dcdaemon.client.http import Client


@verb("requeue", "dcd requeue 42", "dcd requeue 3-7")
@selectors()
@daemon
@output
def command(client: Client, out: Output, select: Sequence[str], name: str | None) -> int:
    """Run jobs again: ended ones at once, running ones after they were stopped."""
    return act(client, "requeue", "Requeued", select, name, out)
