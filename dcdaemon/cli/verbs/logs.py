"""`dcd logs`: a job's output, as it was written."""

import sys
from collections.abc import Sequence

import click

from dcdaemon.cli.failure import INTERRUPTED
from dcdaemon.cli.options import daemon, selectors, verb
from dcdaemon.cli.select import one_job_id
from dcdaemon.cli.show.job import headline
from dcdaemon.cli.show.output import talk
from dcdaemon.client.follow import ended_job, follow_log, read_log
from dcdaemon.client.http import Client


@verb("logs", "dcd logs 42", "dcd logs -f last", "dcd logs 42 --attempt 1")
@selectors()
@click.option("-f", "--follow", is_flag=True, help="Wait for the start, go on to the end, tell how it ended.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    metavar="N",
    default=50,
    show_default=True,
    help="Start so many lines back.",
)
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Of an earlier attempt.  [default: the newest]")
@daemon
def command(
    client: Client, select: Sequence[str], name: str | None, lines: int, attempt: int | None, *, follow: bool
) -> int | None:
    """Print a job's stdout and stderr; following survives a restart of the daemon."""
    if follow and attempt is not None:
        raise click.UsageError("-f follows the newest attempt; leave --attempt out")
    job_id = one_job_id(client, select, name)
    try:
        for chunk in follow_log(client, job_id, lines) if follow else read_log(client, job_id, lines, attempt):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        talk(f"\nNo longer following job {job_id}; it goes on. Again: dcd logs -f {job_id}")
        return INTERRUPTED
    if follow:
        talk(f"Job {job_id}: {headline(ended_job(client, job_id))}")
    return None
