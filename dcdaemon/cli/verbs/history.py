"""`dcd history`: jobs that have ended, and what each one used."""

import click

from dcdaemon.cli.options import Duration, daemon, output_or_slurm, verb
from dcdaemon.cli.show.jobs import history_page
from dcdaemon.cli.show.output import SLURM, Output, emit
from dcdaemon.client.http import Client


@verb("history", "dcd history", "dcd history --since 30d -u alice -o csv")
@click.option(
    "--since",
    type=Duration(),
    default="7d",
    show_default=True,
    metavar="AGE",
    help="Ended at most so long ago.",
)
@click.option("-u", "--user", metavar="USER", help="Only this user's jobs.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    default=1000,
    show_default=True,
    help="At most so many.",
)
@daemon
@output_or_slurm
def command(client: Client, out: Output, since: float, user: str | None, limit: int) -> None:
    """List ended jobs: state, wait, run, GPU-hours, load and energy."""
    document = client.get("/v1/history", {"since_s": since, "user": user, "limit": limit})
    if out.form == SLURM:
        from dcdaemon.cli.show.slurm import emit_slurm, sacct

        emit_slurm(sacct(document), out)
        return
    emit(history_page(document), out)
