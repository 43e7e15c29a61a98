"""`dcd update`: change what waiting jobs asked for, and their order."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import click

from dcdaemon.cli.act import act
from dcdaemon.cli.options import BeginTime, Count, Duration, daemon, output, selectors, verb
from dcdaemon.cli.show.output import Output
from dcdaemon.cli.show.words import duration, when
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client


@verb("update", "dcd update 42 -t 2h", "dcd update 42 -p 40", "dcd update 42 --first", "dcd update 120_5-9 -Q night")
@selectors()
@click.option("-p", "--priority", type=Count(0, 100), metavar="N", help="Higher goes first; above 50 for operators.")
@click.option("--first", is_flag=True, help="Before all others that wait: by a priority above theirs.")
@click.option("-t", "--time", "limit_s", type=Duration(), metavar="TIME", help="End it after this: 90s, 2h30m, 1d.")
@click.option("-Q", "--queue", metavar="NAME", help="The queue to wait in.")
@click.option("-A", "--account", metavar="NAME", help="Whose share it counts against.")
@click.option("--begin", "begin_at", type=BeginTime(), metavar="TIME", help="Not before: +2h, 22:00; now.")
@click.option("--deadline", "deadline_at", type=BeginTime(), metavar="TIME", help="Done by then: 18:00, +6h.")
@click.option("--rename", metavar="NAME", help="What to call it from now on.")
@daemon
@output
def command(
    *, client: Client, out: Output, select: Sequence[str], name: str | None, rename: str | None, **wanted: Any
) -> int:
    """Change what waiting jobs asked for; what is not said stays, and the job keeps its age."""
    changes = {**wanted, "new_name": rename}
    given = {key: value for key, value in changes.items() if value is not None and value is not False}
    return act(client, "update", "Updated", select, name, out, tell=lambda job: _now(job, given), **given)


def _now(job: Document, given: Collection[str]) -> str:
    """Return what was changed as it is now: `: priority 51, limit 2h`."""
    words: dict[str, Callable[[], str]] = {
        "priority": lambda: f"priority {job['priority']}",
        "first": lambda: f"priority {job['priority']}",
        "limit_s": lambda: f"limit {duration(job['limit_s'])}",
        "queue": lambda: f"queue {job['queue']}",
        "account": lambda: f"account {job['account']}",
        "begin_at": lambda: f"not before {when(job['begin_at'])}" if job["begin_at"] else "no begin time",
        "deadline_at": lambda: f"due {when(job['deadline_at'])}",
    }
    told = [words[key]() for key in given if key in words]
    return f": {', '.join(told)}" if told else ""
