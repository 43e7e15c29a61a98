"""A job that takes a GPU and does nothing with it, as a forgotten notebook does."""

import argparse
import time

import torch
from torch import Tensor

from dcdaemon.workloads.options import positive_int

MIB = 1024 * 1024


def hold(memory_mib: int) -> Tensor | None:
    """Open the first GPU and take `memory_mib` of its memory; None where there is no GPU."""
    if not torch.cuda.is_available():
        return None
    return torch.zeros(memory_mib * MIB, dtype=torch.uint8, device="cuda")


def main(argv: list[str] | None = None) -> None:
    """Hold a GPU for the time asked for."""
    parser = argparse.ArgumentParser(prog="python -m dcdaemon.workloads.idle_holder", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to hold it (%(default)s)")
    parser.add_argument("--memory-mib", type=positive_int, default=1024, help="how much of it to take (%(default)s)")
    given = parser.parse_args(argv)
    held = hold(given.memory_mib)
    what = "no GPU here: holding nothing" if held is None else f"holding {given.memory_mib} MiB on {held.device}"
    print(f"{what} for {given.seconds:g} s", flush=True)
    time.sleep(given.seconds)
    print(f"result held_mib={0 if held is None else given.memory_mib} seconds={given.seconds:g}", flush=True)


if __name__ == "__main__":
    main()
