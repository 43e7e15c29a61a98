"""`dcd show`: everything about a job."""

from collections.abc import Sequence

from dcdaemon.cli.options import daemon, output, selectors, verb
from dcdaemon.cli.select import job_ids
from dcdaemon.cli.show.job import job_text
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.client.http import Client


@verb("show", "dcd show 42", "dcd show last --json")
@selectors()
@daemon
@output
def command(client: Client, out: Output, select: Sequence[str], name: str | None) -> None:
    """Show a job's command, timeline, GPUs, limits, energy and anomalies; secrets are masked."""
    jobs = [client.get(f"/v1/jobs/{job_id}") for job_id in job_ids(client, select, name)]
    document = jobs[0] if len(jobs) == 1 else {"schema": 1, "jobs": jobs}
    emit(Page(document, jobs, text="\n\n".join(job_text(job) for job in jobs)), out)
