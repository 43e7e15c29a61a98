"""The command that starts the ranks of a distributed job on this node."""

from collections.abc import Sequence
from pathlib import Path

from dcdaemon.core.launcher import split_command

TORCHRUN = Path(__file__).with_name("torchrun.py")
#: All ranks are on one node.
ADDRESS = "127.0.0.1"


def torchrun_command(argv: Sequence[str], ranks: int, port: int, name: str) -> tuple[str, ...]:
    """Return the command that runs `argv` in so many ranks, which find each other at a port of this node."""
    python, program = split_command(argv)
    return (
        *python, str(TORCHRUN), "--nnodes=1", "--node-rank=0", f"--nproc-per-node={ranks}", "--max-restarts=0",
        "--rdzv-backend=static", f"--rdzv-id={name}", f"--master-addr={ADDRESS}", f"--master-port={port}", *program,
    )  # fmt: skip
