"""`dcd run`: submit, follow, and leave with the job's own exit code."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from dcdaemon.cli.ends import exit_code_of
from dcdaemon.cli.failure import BEFORE_START, INTERRUPTED, from_usage, tell
from dcdaemon.cli.options import Verb, daemon, verb
from dcdaemon.cli.show.job import headline
from dcdaemon.cli.show.output import talk
from dcdaemon.cli.wish import job_options
from dcdaemon.client.follow import ended_job, follow_log
from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError

_SECOND_CTRL_C_S = 2.0


class RunVerb(Verb):
    """A command whose own troubles exit with 125, so that they cannot be taken for the job's."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the command line; leave with 125 when it cannot be read."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            tell(from_usage(error), as_json=False)
        except DcdError as error:
            tell(error, as_json=False)
        raise click.exceptions.Exit(BEFORE_START)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what goes wrong before the job is queued exits with 125."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            tell(from_usage(error), as_json=False)
        except DcdError as error:
            tell(error, as_json=False)
        return BEFORE_START


@verb(
    "run",
    "dcd run -g 1 -- python train.py",
    "dcd run -g 2 -t 10m -- ./smoke-test.sh",
    cls=RunVerb,
    context={"allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, required=True, metavar="[--] CMD...")
@job_options
@daemon
def command(client: Client, argv: Sequence[str], wish: Mapping[str, Any], env: Mapping[str, str]) -> int:
    """Submit a job and follow its output; the exit code is the job's own, 125 for trouble before it starts.

    The first Ctrl-C leaves the job alone and lets go of it; a second one within 2 s cancels it.
    """
    body = {"jobs": [{**wish, "argv": list(argv)}], "env": env, "explain": True}
    answer = client.post("/v1/jobs", body)
    job_id = int(answer["jobs"][0]["id"])
    start = (answer.get("starts") or ["now"])[0]
    talk(f"Job {job_id} " + ("starts now." if start == "now" else f"waits: {start}."))
    return _follow(client, job_id)


def _follow(client: Client, job_id: int) -> int:
    try:
        _copy(follow_log(client, job_id))
        job = ended_job(client, job_id)
    except KeyboardInterrupt:
        return _let_go(client, job_id)
    except DcdError as error:
        # The job has been queued and may run: 125 would be a lie.
        tell(error, as_json=False)
        return error.exit_code
    code = exit_code_of(job)
    if code:
        talk(f"Job {job_id}: {headline(job)}")
    return code


def _copy(chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def _let_go(client: Client, job_id: int) -> int:
    try:
        talk(f"\nJob {job_id} goes on without you.  Follow: dcd logs -f {job_id}   Cancel: Ctrl-C again within 2 s")
        time.sleep(_SECOND_CTRL_C_S)
    except KeyboardInterrupt:
        client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
        talk(f"Cancelled job {job_id}.")
    return INTERRUPTED
