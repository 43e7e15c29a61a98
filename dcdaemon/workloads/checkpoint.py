"""Checkpoints: everything a training needs to go on as if it had never stopped, in one file."""

import contextlib
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

FORMAT = 1


class Stateful(Protocol):
    """Anything whose state PyTorch can hand out and take back: a model, an optimiser, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take a state back."""


class CheckpointError(Exception):
    """A checkpoint that cannot be written or resumed from; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        """Keep the hint beside the message."""
        super().__init__(message)
        self.hint = hint


@dataclass(slots=True)
class Progress:
    """How far a training has come; `score` is better when lower."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("inf")
    best_weights: dict[str, Any] = field(default_factory=dict)

    @property
    def stale_epochs(self) -> int:
        """Epochs since the best one."""
        return self.epoch - self.best_epoch


def save(path: Path, run: dict[str, Any], progress: Progress, parts: dict[str, Stateful]) -> None:
    """Write the checkpoint of `run` in one step: a reader finds the old file or the new one, never a half.

    Raises CheckpointError when the file cannot be written; the old one is then untouched.
    """
    content = {
        "format": FORMAT,
        "run": run,
        "progress": {name: getattr(progress, name) for name in Progress.__slots__},
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "cpu_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all(),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot write checkpoint {path}: {error}", "free space there, or give --checkpoint another place"
        ) from error


def load(path: Path, run: dict[str, Any], parts: dict[str, Stateful]) -> Progress:
    """Give `parts` and the random generators back their state, and return the progress made.

    Raises CheckpointError when the file is no checkpoint, or not one of this very `run`.
    """
    content = _read(path)
    if content["run"] != run:
        raise CheckpointError(
            f"checkpoint {path} was written by another run: {_differences(content['run'], run)}",
            "repeat that run's options, or give --checkpoint another file",
        )
    for name, part in parts.items():
        part.load_state_dict(content["parts"][name])
    torch.set_rng_state(content["cpu_rng"])
    # A requeued job may find other GPUs than it left; the states of those it no longer has are of no use.
    for index, state in enumerate(content["cuda_rng"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, index)
    return Progress(**content["progress"])


def _read(path: Path) -> dict[str, Any]:
    hint = "move the file away to start from the beginning"
    try:
        # weights_only: a checkpoint is data, and loading one must never run code. On the CPU, because the
        # device that wrote it may be gone; each part moves its own state to where it lives.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {type(error).__name__}", hint) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of format {FORMAT}", hint)
    return content


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    names = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    return ", ".join(f"{name} {theirs.get(name)} there, {ours.get(name)} here" for name in names)
