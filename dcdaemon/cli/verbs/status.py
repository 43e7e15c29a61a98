"""`dcd status`: the daemon about itself."""

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.daemon import status_text
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.client.http import Client


@verb("status", "dcd status", "dcd status --json")
@daemon
@output
def command(client: Client, out: Output) -> None:
    """Show the daemon's duties and their last tick, its queue, database, engine and versions."""
    document = client.get("/v1/status")
    emit(Page(document, [document], id_key="node", text=status_text(document)), out)
