"""`dcd audit`: who changed what, from where, and how it was before and after."""

import click

from dcdaemon.cli.options import Duration, daemon, output, verb
from dcdaemon.cli.show.audit import audit_page
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client


@verb("audit", "dcd audit --since 1d", "dcd audit --user ada --action cancel -o wide", "dcd audit --job 42 --json")
@click.option("--since", type=Duration(), default="7d", show_default=True, metavar="AGE", help="At most so long ago.")
@click.option("--job", "jobs", multiple=True, metavar="SEL", help="Of these jobs; may be repeated.")
@click.option("-u", "--user", metavar="USER", help="Made by this user.")
@click.option("--action", metavar="ACTION", help="Of this kind: submit, cancel, drain, token_create ...")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), metavar="N", default=1000, show_default=True,
              help="At most the newest N.")  # fmt: skip
@daemon
@output
def command(
    *, client: Client, out: Output, since: float, jobs: tuple[str, ...], limit: int, **wanted: str | None
) -> None:
    """List every change, oldest first: all of them for operators, for a user those he made himself."""
    query = {"since_s": since, "sel": list(jobs), "limit": limit, **wanted}
    emit(audit_page(client.get("/v1/audit", query)), out)
