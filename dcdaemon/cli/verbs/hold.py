"""`dcd hold`: keep waiting jobs from starting until they are released."""

from collections.abc import Sequence

from dcdaemon.cli.act import act
from dcdaemon.cli.options import daemon, output, selectors, verb
from dcdaemon.cli.show.output import Output
from dcdaemon.client.http import Client


@verb("hold", "dcd hold 42", "dcd hold --name sweep")
@selectors()
@daemon
@output
def command(client: Client, out: Output, select: Sequence[str], name: str | None) -> int:
    """Keep waiting jobs from starting until they are released."""
    return act(client, "hold", "Held", select, name, out)
