"""`dcd wait`: block until jobs have ended."""

from collections.abc import Sequence

import click

from dcdaemon.cli.ends import exit_code_of
from dcdaemon.cli.failure import TIMED_OUT
from dcdaemon.cli.options import Duration, daemon, output, selectors, verb
from dcdaemon.cli.select import job_ids
from dcdaemon.cli.show.jobs import HISTORY
from dcdaemon.cli.show.output import Output, Page, emit, talk
from dcdaemon.client.follow import wait_for_jobs
from dcdaemon.client.http import Client

#: Of many jobs the daemon tells only this.
_BRIEF = tuple(column for column in HISTORY if column.title in {"ID", "STATE", "ENDED"})


@verb("wait", "dcd wait 42", "dcd wait 3-7 --any --timeout 1h")
@selectors()
@click.option("--any", "any_one", is_flag=True, help="Until the first of them has ended.")
@click.option("--timeout", type=Duration(), metavar="TIME", help="Give up after this, with exit code 124.")
@click.option("--pass", "pass_on", is_flag=True, help="Exit with the code of the first job that failed.")
@daemon
@output
def command(  # noqa: PLR0913  each is one option of the command line
    *,
    client: Client,
    out: Output,
    select: Sequence[str],
    name: str | None,
    timeout: float | None,
    any_one: bool,
    pass_on: bool,
) -> int:
    """Wait for jobs; exit with 0 when all are good, 1 when some failed, 124 when the time is over."""
    # Ids are settled first: `last` must not change its meaning while we wait.
    ids = [str(job_id) for job_id in job_ids(client, select, name)]
    answer = wait_for_jobs(client, ids, any_one=any_one, settled=True, timeout_s=timeout)
    emit(Page(answer, answer["jobs"], _BRIEF if answer.get("brief") else HISTORY), out)
    if not answer["done"]:
        talk("The time is over; the jobs go on.")
        return TIMED_OUT
    codes = [exit_code_of(job) for job in answer["jobs"] if job["ended_at"] is not None]
    failed = [code for code in codes if code]
    if not failed:
        return 0
    return failed[0] if pass_on else 1
