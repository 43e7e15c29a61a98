"""`dcd why`: the true reason why a job waits."""

from collections.abc import Sequence

from dcdaemon.cli.options import daemon, output, selectors, verb
from dcdaemon.cli.select import job_ids
from dcdaemon.cli.show.job import why_text
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.client.http import Client


@verb("why", "dcd why 42", "dcd why last --json")
@selectors()
@daemon
@output
def command(client: Client, out: Output, select: Sequence[str], name: str | None) -> None:
    """Tell why a job waits, with the numbers, what would start it, and when it is expected to start."""
    answers = [client.get(f"/v1/jobs/{job_id}/why") for job_id in job_ids(client, select, name)]
    document = answers[0] if len(answers) == 1 else {"schema": 1, "answers": answers}
    text = "\n\n".join(why_text(answer) for answer in answers)
    emit(Page(document, answers, id_key="job_id", text=text), out)
