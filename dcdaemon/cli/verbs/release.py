"""`dcd release`: let held jobs start again."""

from collections.abc import Sequence

from dcdaemon.cli.act import act
from dcdaemon.cli.options import daemon, output, selectors, verb
from dcdaemon.cli.show.output import Output
from dcdaemon.client.http import Client


@verb("release", "dcd release 42", "dcd release all")
@selectors()
@daemon
@output
def command(client: Client, out: Output, select: Sequence[str], name: str | None) -> int:
    """Let held jobs start again."""
    return act(client, "release", "Released", select, name, out)
