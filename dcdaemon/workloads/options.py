"""The command line that every training shares."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """How one training is to run; `workload` names it in its checkpoint."""

    workload: str
    epochs: int
    patience: int
    seed: int
    threads: int
    checkpoint: Path | None
    keep_checkpoint: bool


def parse(argv: list[str] | None, *, workload: str, description: str, epochs: int, patience: int) -> Options:
    """Read the shared options from `argv` (None: the process's own); exits with 2 on wrong usage."""
    parser = argparse.ArgumentParser(prog=f"python -m dcdaemon.workloads.{workload}", description=description)
    parser.add_argument("--epochs", type=positive_int, default=epochs, help="most epochs to train (%(default)s)")
    parser.add_argument(
        "--patience",
        type=positive_int,
        default=patience,
        help="epochs without progress before it stops (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same run (%(default)s)")
    parser.add_argument("--threads", type=positive_int, default=1, help="CPU threads PyTorch may use (%(default)s)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="resume from this file if it exists, and write it after every epoch; without it a job uses"
        " WORKLOAD-jobID.pt in its working directory, removed when done; outside a job no file is written",
    )
    given = parser.parse_args(argv)
    return Options(
        workload=workload,
        epochs=given.epochs,
        patience=given.patience,
        seed=given.seed,
        threads=given.threads,
        checkpoint=given.checkpoint or _checkpoint_of_this_job(workload),
        keep_checkpoint=given.checkpoint is not None,
    )


def positive_int(text: str) -> int:
    """Read a whole number of at least 1, as an argparse type."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _checkpoint_of_this_job(workload: str) -> Path | None:
    # The id outlives a requeue, so the next attempt finds what the last one left.
    job = os.environ.get("DCD_JOB_ID")
    return Path(f"{workload}-job{job}.pt").absolute() if job else None
