"""`dcd gpus close` and `dcd gpus open`: whether GPUs can be used without a job."""

import click

from dcdaemon.cli.options import verb
from dcdaemon.cli.show.output import say, talk


@verb("close", "sudo dcd gpus close --dry-run", "sudo dcd gpus close")
@click.option("--dry-run", is_flag=True, help="Print each step, and do none.")
def close(*, dry_run: bool) -> None:
    """Let only jobs and root open the GPUs; `dcd gpus open` undoes it. For a service that runs as root.

    It holds for good once the driver has been loaded anew: until then a program that asks for CUDA opens them again.
    """
    from dcdaemon.admin.gpu_nodes import close as close_nodes
    from dcdaemon.admin.gpu_nodes import look

    close_nodes(say, dry_run=dry_run)
    if not dry_run and not look().firm:
        talk("Load the driver anew to make it hold: reboot, or dcd gpus release and modprobe; then see dcd doctor.")
        talk("Where the driver is in the initramfs: update-initramfs -u (dracut -f) first.")


@verb("open", "sudo dcd gpus open --dry-run", "sudo dcd gpus open")
@click.option("--dry-run", is_flag=True, help="Print each step, and do none.")
def open_again(*, dry_run: bool) -> None:
    """Let everybody open the GPUs again, as the driver has it by itself."""
    from dcdaemon.admin.gpu_nodes import open_again as open_nodes

    open_nodes(say, dry_run=dry_run)
