"""`dcd gpus`: each GPU, who uses it and how it is; and letting go of the driver."""

from typing import Any

import click

from dcdaemon.cli.gpu_nodes import close, open_again
from dcdaemon.cli.options import Duration, Verb, daemon, output, output_or_slurm, verb
from dcdaemon.cli.show.gpus import gpus_page
from dcdaemon.cli.show.output import SLURM, Output, Page, emit
from dcdaemon.client.http import Client

_USUAL_RELEASE = "10m"


class _VerbWithParts(Verb, click.Group):
    """A verb that does something by itself, and has parts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of both."""
        super().__init__(*args, invoke_without_command=True, **kwargs)


@verb("gpus", "dcd gpus", "dcd gpus -o wide", "dcd gpus -w", cls=_VerbWithParts)
@click.option("-w", "--watch", is_flag=True, help="Draw it again every 2 s until Ctrl-C.")
@daemon
@output_or_slurm
def command(client: Client, out: Output, *, watch: bool) -> None:
    """List the GPUs with their job or foreign processes, load, memory, power, temperature and health."""
    if click.get_current_context().invoked_subcommand is not None:
        return

    if out.form == SLURM and not watch:
        from dcdaemon.cli.show.slurm import emit_slurm, sinfo

        emit_slurm(sinfo(client.get("/v1/gpus"), client.get("/v1/queues")), out)
        return

    def look() -> Page:
        return gpus_page(client.get("/v1/gpus"))

    if not watch:
        emit(look(), out)
        return
    from dcdaemon.cli.show.live import watch as keep_watching

    keep_watching(look, out)


@verb("release", "dcd gpus release", "dcd gpus release --for 30m", "dcd gpus release --end")
@click.option("--for", "for_s", type=Duration(), default=_USUAL_RELEASE, metavar="TIME", help="[default: 10m]")
@click.option("--end", is_flag=True, help="Take the driver back now.")
@click.option("--force", is_flag=True, help="Even while jobs hold GPUs, and the driver with them.")
@daemon
@output
def release(client: Client, out: Output, for_s: float, *, end: bool, force: bool) -> None:
    """Let go of the driver so that it can be unloaded and loaded anew. Operators only.

    Nothing of the GPUs is read meanwhile, and no job gets one. The daemon takes the driver back by itself when
    the time is over. A job holds the driver, too: drain the GPUs first, and let their jobs end.
    """
    emit(gpus_page(client.post("/v1/gpus/release", {"for_s": 0.0 if end else for_s, "force": force})), out)


assert isinstance(command, click.Group)  # noqa: S101  the class given above
for part in (release, close, open_again):
    command.add_command(part)
