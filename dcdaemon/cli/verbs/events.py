"""`dcd events`: what happened to the hardware and to its telemetry."""

from collections.abc import Sequence

import click

from dcdaemon.cli.failure import INTERRUPTED
from dcdaemon.cli.options import Duration, daemon, output, verb
from dcdaemon.cli.show.events import event_line, events_page
from dcdaemon.cli.show.output import Output, dump, emit, say
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client, Query
from dcdaemon.core.errors import BadInput
from dcdaemon.core.event import EventKind


@verb("events", "dcd events --since 1d", "dcd events -f --kind xid --kind gpu_lost")
@click.option("--since", type=Duration(), default="1d", show_default=True, metavar="AGE", help="At most so long ago.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([kind.value for kind in EventKind], case_sensitive=False),
    multiple=True,
    metavar="KIND",
    help="Only this kind, like xid; may be repeated.  [default: all]",
)
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), metavar="N", default=1000, show_default=True,
              help="At most the newest N.")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, a line each, until Ctrl-C.")
@daemon
@output
def command(client: Client, out: Output, since: float, kinds: Sequence[str], limit: int, *, follow: bool) -> int | None:
    """List XIDs, lost GPUs, links that went down and the like, oldest first; a burst of the same is one row."""
    query = {"since_s": since, "kind": list(kinds), "limit": limit}
    if follow:
        return _follow(client, out, query)
    emit(events_page(client.get("/v1/events", query)), out)
    return None


def _follow(client: Client, out: Output, query: Query) -> int:
    # Imported here: only -f pays for it.
    from dcdaemon.client.events import follow_events

    if out.form == "csv":
        raise BadInput("csv has one heading and an end, which following has not", "take -o jsonl")
    try:
        for event in follow_events(client, query):
            say(_line(event, out))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _line(event: Document, out: Output) -> str:
    if out.is_json:
        return dump(event)
    return str(event["id"]) if out.form == "id" else event_line(event)
