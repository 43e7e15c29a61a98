"""`dcd submit`: queue a job, or many."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from dcdaemon.cli.batch import read_batch
from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.jobs import QUEUE, label
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.cli.show.words import count, memory, printable, short, spans
from dcdaemon.cli.wish import job_options
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client

#: How a note of why a job waits ends where its start is only expected.
_ESTIMATE = re.compile(r" \((?:~[^()]*|due now)\)(?=\.$)")


@verb(
    "submit",
    "dcd submit -g 2 -t 4h -- python train.py --lr 3e-4",
    "dcd submit --batch jobs.txt",
    "dcd submit --array 0-99%5 -g 1 -- ./sweep.sh",
    "dcd submit --sbatch train.sh",
    context={"allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, metavar="[--] CMD...")
@job_options
@click.option("--array", metavar="LIST", help="One job for each index: 0-99, 0-15:4, 1,3,7; %5 = 5 at a time.")
@click.option("--hold", "held", is_flag=True, help="Do not start it before dcd release.")
@click.option("--batch", metavar="FILE", help="One job a line (- = stdin): a command line, or a JSON object.")
@click.option("--sbatch", metavar="FILE", help="A batch script of Slurm (- = stdin); CMD... are its arguments.")
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
    array: str | None,
    batch: str | None,
    sbatch: str | None,
    held: bool,
    dry_run: bool,
) -> None:
    """Queue a command with this directory and this environment; an answered id survives a power cut.

    In a pipe only the id is printed.
    """
    _refuse_mixtures(argv, batch, sbatch)
    common = {**wish, "held": held, **({} if array is None else {"array": array})}
    if sbatch is not None:
        # Imported here: only batch scripts pay for it.
        from dcdaemon.cli.sbatch.submit import read_sbatch

        job, env = read_sbatch(client, sbatch, common, env, argv)
        jobs = [job]
    else:
        jobs = [{**common, "argv": list(argv)}] if batch is None else read_batch(batch, common)
    body = {"jobs": jobs, "env": env, "dry_run": dry_run, "explain": not out.wants_ids}
    _tell(client.post("/v1/jobs", body), jobs, out, dry_run=dry_run)


def _refuse_mixtures(argv: Sequence[str], batch: str | None, sbatch: str | None) -> None:
    if batch is not None and (argv or sbatch is not None):
        raise click.UsageError(f"{'a command' if argv else '--sbatch'} and --batch exclude each other")
    if not argv and batch is None and sbatch is None:
        raise click.UsageError("no command is given")


def _tell(answer: Document, asked: Sequence[Mapping[str, Any]], out: Output, *, dry_run: bool) -> None:
    queued = answer["jobs"]
    if dry_run:
        text = f"{count(answer.get('accepted', len(asked)), 'job')} would be queued. Nothing was."
        emit(Page(answer, queued, text=text), Output("table") if out.form is None else out)
        return
    page = Page(answer, queued, QUEUE, text=_sentence(queued, answer.get("starts") or []))
    emit(page, Output("id") if out.wants_ids else out)


def _sentence(jobs: Sequence[Document], starts: Sequence[str]) -> str:
    array_id = jobs[0].get("array_id")
    if array_id is not None and all(job["array_id"] == array_id for job in jobs):
        return _array_sentence(jobs, starts)
    if len(jobs) > 1:
        now = sum(start == "now" for start in starts)
        return (
            f"Queued {len(jobs)} jobs, {spans([job['id'] for job in jobs])}; {now} start now."
            "  See: dcd ps   Cancel: dcd cancel -y " + spans([job["id"] for job in jobs]).replace(" ", "")
        )
    job = jobs[0]
    gpus = f", {_asked(job)}" if job["gpus_asked"] else ""
    start = "Starts now." if starts[:1] == ["now"] else _waits(job, starts)
    follow = f"Follow: dcd logs -f {job['id']}   Cancel: dcd cancel {job['id']}"
    return printable(f"Queued job {job['id']} ({job['name']}){gpus}. {start}  {follow}")


def _array_sentence(jobs: Sequence[Document], starts: Sequence[str]) -> str:
    first = jobs[0]
    array_id = first["array_id"]
    gpus = f", {_asked(first)} each" if first["gpus_asked"] else ""
    start = "The first starts now." if starts[:1] == ["now"] else _waits(first, starts)
    span = f"{label(first)} to {label(jobs[-1])}"
    return printable(
        f"Queued array {array_id} ({first['name']}), {count(len(jobs), 'job')}, {span}{gpus}."
        f" {start}  See: dcd ps '{array_id}_*'   Cancel: dcd cancel '{array_id}_*'"
    )


def _waits(job: Document, starts: Sequence[str]) -> str:
    """Return why the job waits, and until about when."""
    why = f"Waits: {starts[0]}." if starts else "Waits."
    low_at, high_at = job.get("forecast_low_at"), job.get("forecast_high_at")
    # Where limits tell the latest start, the note has it, and nobody need guess.
    if not low_at or not high_at or "(<" in why:
        return why
    submitted_at = datetime.fromisoformat(job["submitted_at"])
    low_s, high_s = ((datetime.fromisoformat(at) - submitted_at).total_seconds() for at in (low_at, high_at))
    likely = f"within {short(high_s)}" if low_s < 1 else f"in {short(low_s)} to {short(high_s)}"
    # One forecast is told, not two.
    return f"{_ESTIMATE.sub('', why)} Likely to start {likely}."


def _asked(job: Document) -> str:
    share = job.get("gpu_mem_bytes")
    return f"{memory(share)} of a GPU" if share else count(job["gpus_asked"], "GPU")
