"""`dcd gpus`: each GPU, who uses it and how it is."""

import click

from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.gpus import gpus_page
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.client.http import Client


@verb("gpus", "dcd gpus", "dcd gpus -w")
@click.option("-w", "--watch", is_flag=True, help="Draw it again every 2 s until Ctrl-C.")
@daemon
@output
def command(client: Client, out: Output, *, watch: bool) -> None:
    """List the GPUs with their job or foreign processes, load, memory, power, temperature and health."""

    def look() -> Page:
        return gpus_page(client.get("/v1/gpus"))

    if not watch:
        emit(look(), out)
        return
    from dcdaemon.cli.show.live import watch as keep_watching

    keep_watching(look, out)
