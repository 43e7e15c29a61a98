"""Launchers: how the command of a distributed job becomes that of its ranks."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from dcdaemon.core.errors import BadInput

TORCHRUN = "torchrun"
LAUNCHERS = (TORCHRUN,)
MOST_RANKS = 1024
#: Options of python that have their value in the next word.
_WITH_VALUE = ("-X", "-W")
_NOT_A_PROGRAM = ("-c", "-")


def check_launcher(launcher: str | None, ranks: int | None, gpus: int, argv: Sequence[str]) -> None:
    """Raise BadInput for a launcher that is none, or that cannot start this command."""
    if launcher is None:
        if ranks is not None:
            raise BadInput("a number of ranks needs a launcher", f"add --launcher {TORCHRUN}")
        return
    if launcher not in LAUNCHERS:
        raise BadInput(f"there is no launcher {launcher!r}", f"there is: {', '.join(LAUNCHERS)}")
    if ranks is None and gpus == 0:
        raise BadInput("without a GPU nobody knows how many ranks to start", "ask for GPUs (-g 2), or add --nproc 2")
    if ranks is not None and not 0 < ranks <= MOST_RANKS:
        raise BadInput(f"{ranks} ranks cannot be started on one node", "write it like --nproc 2")
    if PurePosixPath(argv[0]).name == TORCHRUN or list(argv[1:3]) == ["-m", "torch.distributed.run"]:
        raise BadInput("the launcher starts torchrun itself", "name the program alone: -- python train.py")
    split_command(argv)


def split_command(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the interpreter with its options, and the program as torchrun takes it; raise BadInput without one."""
    first, rest = argv[0], list(argv[1:])
    if not PurePosixPath(first).name.startswith("python"):
        return ["python3"], [*([] if first.endswith(".py") else ["--no-python"]), *argv]
    python = [first]
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", *_NOT_A_PROGRAM):
        python += [rest.pop(0) for _ in range(2 if rest[0] in _WITH_VALUE else 1) if rest]
    if not rest or rest[0] in _NOT_A_PROGRAM or rest == ["-m"]:
        raise BadInput("the launcher needs a program that it can start for each rank", "name it: -- python train.py")
    return python, rest
