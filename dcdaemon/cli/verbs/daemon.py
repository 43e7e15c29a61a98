"""`dcd daemon`: the daemon itself."""

import click

from dcdaemon.cli.options import verb


@click.group("daemon", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Run the daemon."""


@verb("run", "dcd daemon run --demo", "dcd daemon run --config /etc/dcdaemon/dcdaemon.toml")
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Read this file instead of the usual ones.",
)
@click.option("--demo", is_flag=True, help="Try it out: 8 pretend GPUs, everything in a temporary place.")
@click.option("--simulate-gpus", type=click.IntRange(1), metavar="N", help="Pretend to have N GPUs.")
@click.option("--once", is_flag=True, help="Tick every duty once, then leave.")
def run(config_path: str | None, simulate_gpus: int | None, *, demo: bool, once: bool) -> int:
    """Run in the foreground until SIGTERM; jobs outlive the daemon."""
    from dcdaemon.daemon.main import run as run_daemon

    return run_daemon(config_path, demo=demo, simulate_gpus=simulate_gpus, once=once)


command.add_command(run)
