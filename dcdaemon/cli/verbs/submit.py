"""`dcd submit`: queue a job, or many."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from dcdaemon.cli.batch import read_batch
from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.jobs import QUEUE
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.cli.show.words import count, printable, spans
from dcdaemon.cli.wish import job_options
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client

_JOBS_PER_REQUEST = 10_000


@verb(
    "submit",
    "dcd submit -g 2 -t 4h -- python train.py --lr 3e-4",
    "dcd submit --batch jobs.txt",
    context={"allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, metavar="[--] CMD...")
@job_options
@click.option("--hold", "held", is_flag=True, help="Do not start it before dcd release.")
@click.option("--batch", metavar="FILE", help="One job a line (- = stdin): a command line, or a JSON object.")
@click.option("--dry-run", is_flag=True, help="Check everything, queue nothing.")
@daemon
@output
def command(  # noqa: PLR0913  each is one option of the command line
    *,
    client: Client,
    out: Output,
    argv: Sequence[str],
    wish: Mapping[str, Any],
    env: Mapping[str, str],
    batch: str | None,
    held: bool,
    dry_run: bool,
) -> None:
    """Queue a command with this directory and this environment; an answered id survives a power cut.

    In a pipe only the id is printed.
    """
    if bool(argv) == (batch is not None):
        raise click.UsageError("no command is given" if not argv else "a command and --batch exclude each other")
    common = {**wish, "held": held}
    jobs = [{**common, "argv": list(argv)}] if batch is None else read_batch(batch, common)
    for start in range(0, len(jobs), _JOBS_PER_REQUEST):
        some = jobs[start : start + _JOBS_PER_REQUEST]
        body = {"jobs": some, "env": env, "dry_run": dry_run, "explain": not out.wants_ids}
        _tell(client.post("/v1/jobs", body), some, out, dry_run=dry_run)


def _tell(answer: Document, asked: Sequence[Mapping[str, Any]], out: Output, *, dry_run: bool) -> None:
    queued = answer["jobs"]
    if dry_run:
        text = f"{count(len(asked), 'job')} would be queued. Nothing was."
        emit(Page(answer, queued, text=text), Output("table") if out.form is None else out)
        return
    page = Page(answer, queued, QUEUE, text=_sentence(queued, answer.get("starts") or []))
    emit(page, Output("id") if out.wants_ids else out)


def _sentence(jobs: Sequence[Document], starts: Sequence[str]) -> str:
    if len(jobs) > 1:
        now = sum(start == "now" for start in starts)
        return (
            f"Queued {len(jobs)} jobs, {spans([job['id'] for job in jobs])}; {now} start now."
            "  See: dcd ps   Cancel: dcd cancel -y " + spans([job["id"] for job in jobs]).replace(" ", "")
        )
    job = jobs[0]
    gpus = f", {count(job['gpus_asked'], 'GPU')}" if job["gpus_asked"] else ""
    start = "Starts now." if starts[:1] == ["now"] else f"Waits: {starts[0]}." if starts else "Waits."
    follow = f"Follow: dcd logs -f {job['id']}   Cancel: dcd cancel {job['id']}"
    return printable(f"Queued job {job['id']} ({job['name']}){gpus}. {start}  {follow}")
