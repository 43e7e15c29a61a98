"""`dcd ps`: what runs, what waits and why."""

from collections.abc import Sequence

import click

from dcdaemon.cli.options import Duration, daemon, output_or_slurm, selectors, verb
from dcdaemon.cli.show.jobs import queue_page
from dcdaemon.cli.show.output import SLURM, Output, Page, emit
from dcdaemon.client.http import Client, Query

#: What a person reads at once, and what a script gets: as many as the daemon lists in one answer.
_TABLE, _EVERY = 500, 100_000


@verb("ps", "dcd ps", "dcd ps -a --since 1d -s failed -o csv", "dcd ps -o slurm")
@selectors(required=False)
@click.option("-a", "--all", "every", is_flag=True, help="Jobs that have ended, too.")
@click.option("-u", "--user", metavar="USER", help="Only this user's jobs.")
@click.option("-s", "--state", metavar="STATE", multiple=True, help="Only this state; PD, R, CG ... work too.")
@click.option("--since", type=Duration(), metavar="AGE", help="Submitted at most so long ago; ended ones, too.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"At most so many; a table has {_TABLE}, all else every job.",
)
@click.option("-w", "--watch", is_flag=True, help="Draw it again every 2 s until Ctrl-C.")
@daemon
@output_or_slurm
def command(  # noqa: PLR0913  each is one option of the command line
    *,
    client: Client,
    out: Output,
    select: Sequence[str],
    name: str | None,
    user: str | None,
    state: Sequence[str],
    since: float | None,
    limit: int | None,
    every: bool,
    watch: bool,
) -> None:
    """List jobs: running ones first, then waiting ones in the order in which they are considered."""
    filters = {"sel": list(select), "name": name, "user": user, "state": list(state), "since_s": since}
    most = limit or (_TABLE if out.form in (None, "table", "wide") else _EVERY)
    query: Query = {**filters, "limit": most, "all": int(every or since is not None)}

    if out.form == SLURM and not watch:
        from dcdaemon.cli.show.slurm import emit_slurm, squeue

        emit_slurm(squeue(client.get("/v1/jobs", query)), out)
        return

    def look() -> Page:
        return queue_page(client.get("/v1/jobs", query))

    if not watch:
        emit(look(), out)
        return
    from dcdaemon.cli.show.live import watch as keep_watching

    keep_watching(look, out)
