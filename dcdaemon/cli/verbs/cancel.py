"""`dcd cancel`: end jobs."""

from collections.abc import Sequence
from typing import Any

import click

from dcdaemon.cli.act import act, ask_before_cancel
from dcdaemon.cli.options import Duration, daemon, output, selectors, verb
from dcdaemon.cli.show.output import Output
from dcdaemon.client.http import Client


@verb("cancel", "dcd cancel 42", "dcd cancel 3-7 --signal INT --grace 2m")
@selectors()
@click.option("--signal", metavar="NAME", help="Send this to all of it, at once.  [default: as it was submitted]")
@click.option("--grace", type=Duration(), metavar="TIME", help="From the signal to KILL.  [default: the job's own]")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@daemon
@output
def command(  # noqa: PLR0913  each is one option of the command line
    *,
    client: Client,
    out: Output,
    select: Sequence[str],
    name: str | None,
    signal: str | None,
    grace: float | None,
    yes: bool,
) -> int:
    """End jobs: a signal to all their processes, then KILL; waiting ones leave the queue at once."""
    ask_before_cancel(client, select, name, yes=yes)
    # Left out where it was not given: a daemon of before takes no null.
    asked: dict[str, Any] = {} if signal is None else {"signal": signal.upper().removeprefix("SIG")}
    return act(client, "cancel", "Cancelled", select, name, out, **asked, grace_s=grace)
