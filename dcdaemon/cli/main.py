"""The program `dcd`: run one verb, turn every error into two lines and an exit code."""

import os
import sys
from collections.abc import Sequence

import click

from dcdaemon.cli.catalog import Verbs
from dcdaemon.cli.failure import INTERRUPTED, PIPE_CLOSED, ReaderGone, from_bug, from_usage, tell, wants_json
from dcdaemon.core.errors import DcdError, Unreachable

_MOST_USED = """\
  dcd submit -g 1 -- python train.py   queue a job
  dcd ps                               what runs, what waits and why
  dcd logs -f last                     follow your newest job
  dcd gpus                             each GPU and who uses it
  dcd history                          what has ended, and what it used
  dcd why 42                           why job 42 waits

dcd -h lists all verbs, dcd VERB -h explains one."""


@click.group("dcd", cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def dcd(ctx: click.Context, *, version: bool) -> None:
    """Queue training jobs on this node's GPUs, and see what each one used."""
    if version:
        from dcdaemon import __version__

        click.echo(f"dcdaemon {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(f"{_greeting()}\n\n{_MOST_USED}")


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors have been told when this returns."""
    as_json = wants_json(arguments)
    try:
        code = dcd.main(args=list(arguments), prog_name="dcd", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except (ReaderGone, BrokenPipeError):
        # The reader left (`dcd ps | head`): not an error, and nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except click.UsageError as error:
        tell(from_usage(error), as_json=as_json)
        return error.exit_code
    except DcdError as error:
        tell(error, as_json=as_json)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the last door: users see two lines, DCD_DEBUG=1 the traceback
        tell(from_bug(error), as_json=as_json)
        return DcdError.exit_code
    return code if isinstance(code, int) else 0


def _greeting() -> str:
    from dcdaemon.cli.connect import connect
    from dcdaemon.cli.show.daemon import status_line

    try:
        return status_line(connect(None, None).get("/v1/status"))
    except Unreachable as error:
        return f"{error.message}\n{error.hint}"
