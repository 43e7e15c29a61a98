"""`dcd why`: the true reason why a job waits."""

from collections.abc import Sequence

from dcdaemon.cli.options import daemon, output, selectors, verb
from dcdaemon.cli.select import job_ids
from dcdaemon.cli.show.job import why_text
from dcdaemon.cli.show.output import Output, Page, emit, talk
from dcdaemon.cli.show.words import count
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client
from dcdaemon.core.errors import Refused


@verb("why", "dcd why 42", "dcd why last --json")
@selectors()
@daemon
@output
def command(client: Client, out: Output, select: Sequence[str], name: str | None) -> None:
    """Tell why a job waits, with the numbers, what would start it, and when it is expected to start."""
    answers = _answers(client, job_ids(client, select, name))
    document = answers[0] if len(answers) == 1 else {"schema": 1, "answers": answers}
    text = "\n\n".join(why_text(answer) for answer in answers)
    emit(Page(document, answers, id_key="job_id", text=text), out)


def _answers(client: Client, ids: Sequence[int]) -> list[Document]:
    """Return the reasons of those that wait; raise Refused, as for a single job, where none of them does."""
    found, refused = list[Document](), list[Refused]()
    for job_id in ids:
        try:
            found.append(client.get(f"/v1/jobs/{job_id}/why"))
        except Refused as error:
            refused.append(error)
    if refused and not found:
        raise refused[0]
    if refused:
        talk(f"note: {count(len(refused), 'job')} of these {'does' if len(refused) == 1 else 'do'} not wait")
    return found
