"""Starts the ranks of a job with the torchrun of its own Python, and tells which rank failed first, and how.

Run by file name with torchrun's arguments, in the user's environment; besides that environment's PyTorch it needs
nothing but Python.
"""

# as in the shim: no module of the user's environment is loaded but PyTorch
# ruff: noqa: PTH100, PTH110, PTH120, PTH123

import contextlib
import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

#: Once a rank has failed, the others wait for it in vain: they get so long to end by themselves.
END_WITHIN_S = 10
BY_SIGNAL = 128
NO_PYTORCH = 127


def main() -> None:
    """Run until all ranks have ended; exits with 0, or with the exit code of the rank that failed first."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]  # our files are no modules of the job
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: signal_ranks(number))
    try:
        from torch.distributed import run  # noqa: PLC0415
        from torch.distributed.elastic.multiprocessing import api, errors  # noqa: PLC0415
    except ImportError as error:
        sys.stderr.write(
            f"dcd: error: --launcher torchrun needs PyTorch in {sys.executable}: {error}\n"
            "dcd: hint: activate its environment before you submit, or name its python: -- /path/to/python train.py\n"
        )
        sys.exit(NO_PYTORCH)
    api.PContext.close = end_soon(api.PContext.close)  # type: ignore[method-assign]
    try:
        run.run(run.parse_args(sys.argv[1:]))  # type: ignore[no-untyped-call]
    except api.SignalException as stop:
        sys.exit(BY_SIGNAL + stop.sigval)
    except errors.ChildFailedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(tell_failure(*error.get_first_failure()))


def end_soon(close: Callable[..., None]) -> Callable[..., None]:
    """Have torchrun wait for ranks no longer than makes sense: after a failure not for half a minute, at a stop longer.

    A rank may not hear its SIGTERM while it waits for one that is gone; at a stop it may be saving its work.
    """

    @functools.wraps(close)
    def closing(context: Any, death_sig: signal.Signals | None = None, timeout: int = 30) -> None:
        stopped = type(sys.exc_info()[1]).__name__ == "SignalException"
        grace_s = float(os.environ.get("DCD_GRACE_S", timeout))
        close(context, death_sig, max(timeout, grace_s) if stopped else min(timeout, END_WITHIN_S))

    return closing


def signal_ranks(number: int) -> None:
    """Hand a signal on to the ranks, which are children of this process and know their rank."""
    pid = os.getpid()
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(child) for child in file.read().split()]
    for child in children:
        with contextlib.suppress(OSError), open(f"/proc/{child}/environ", "rb") as environment:
            if b"\0LOCAL_RANK=" in b"\0" + environment.read():
                os.kill(child, number)


def tell_failure(rank: int, failure: Any) -> int:
    """Report the rank that failed first, and return the exit code that stands for its end."""
    number = -failure.exitcode if failure.exitcode < 0 else None
    values = {"failed_rank": rank, "failed_signal" if number else "failed_exit_code": number or failure.exitcode}
    line = json.dumps({"t": time.time(), "step": None, "values": values}) + "\n"
    path = os.environ.get("DCD_REPORT_PATH")
    asked_to_end = os.path.exists(os.environ.get("DCD_DEADLINE_PATH", ""))
    if path and not asked_to_end:
        with contextlib.suppress(OSError), open(path, "a", encoding="ascii") as report:
            report.write(line)
    return BY_SIGNAL + number if number else int(failure.exitcode)


if __name__ == "__main__":
    main()
