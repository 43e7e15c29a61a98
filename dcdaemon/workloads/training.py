"""The training loop: epochs with validation, a schedule, early stopping and checkpoints, then one test."""

import copy
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dcdaemon.job import checkpoint_saved, report, should_checkpoint
from dcdaemon.workloads import checkpoint
from dcdaemon.workloads.checkpoint import CheckpointError, Progress, Stateful
from dcdaemon.workloads.options import Options

Metrics = dict[str, float]
Models = dict[str, nn.Module]
Tools = dict[str, Stateful]
EXIT_USAGE = 2
EXIT_TERMINATED = 128 + signal.SIGTERM


class StopRequest:
    """A wish to stop, made at any time by SIGTERM or by the job's deadline, and honoured between two batches."""

    def __init__(self) -> None:
        """Start with no wish."""
        self.made = False

    def listen(self) -> None:
        """Take SIGTERM as the wish; call from the main thread."""

        def note(_number: int, _frame: FrameType | None) -> None:
            self.made = True

        signal.signal(signal.SIGTERM, note)

    def check(self) -> None:
        """Raise Stopped if the wish was made."""
        if self.made or should_checkpoint():
            raise Stopped


class Stopped(Exception):
    """The training was asked to stop before its end."""


class Task(Protocol):
    """One training problem: what to do in an epoch, and how to judge it."""

    models: Models
    tools: Tools

    def train_epoch(self, stop: StopRequest) -> Metrics:
        """Train one epoch, calling `stop.check()` between batches."""

    def validate(self) -> tuple[float, Metrics]:
        """Return the score on held-out data, better when lower, and the metrics to show."""

    def adjust(self, score: float) -> None:
        """Move the learning-rate schedule on by one epoch."""

    def test(self) -> Metrics:
        """Judge the models on data that neither training nor validation saw."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended: the test's metrics, the epochs it took, and whether it stopped early."""

    metrics: Metrics
    epochs: int
    stopped_early: bool

    def __str__(self) -> str:
        """Return the line that a training ends with, made of key=value pairs."""
        stopped = "early" if self.stopped_early else "at_end"
        return f"result {_pairs(self.metrics)} epochs={self.epochs} stopped={stopped}"


def prepare(options: Options) -> torch.device:
    """Seed the generators, bound the threads, and return the device to train on: a GPU, else the CPU."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{options.workload} on {device}, seed {options.seed}", flush=True)
    return device


def batches(count: int, size: int, stop: StopRequest) -> Iterator[Tensor]:
    """Yield the indices 0 to `count` in random order, `size` at a time, as long as nobody asked to stop."""
    for indices in torch.split(torch.randperm(count), size):
        stop.check()
        yield indices


def descend(optimiser: Optimizer, loss: Tensor, clip_norm: float | None = None) -> None:
    """Take one step down the gradient of `loss`, cut to `clip_norm` where one is given."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm is not None:
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(weights, clip_norm)
    optimiser.step()


def fit(task: Task, options: Options, stop: StopRequest) -> Outcome:
    """Train until the epochs or the patience are used up, then test the best weights seen in validation.

    Resumes from `options.checkpoint` where that exists. Raises Stopped when `stop` was requested: the
    checkpoint then holds the last whole epoch. Raises CheckpointError when it cannot be read or written.
    """
    progress = _resume(task, options)
    while progress.epoch < options.epochs and progress.stale_epochs < options.patience:
        metrics = task.train_epoch(stop)
        score, judged = task.validate()
        task.adjust(score)
        progress.epoch += 1
        _keep_best(task, progress, score)
        _save(task, options, progress)
        _show(progress.epoch, options.epochs, metrics | judged)
        stop.check()
    _restore_best(task, progress)
    outcome = Outcome(task.test(), progress.epoch, stopped_early=progress.epoch < options.epochs)
    _finish(options, outcome)
    return outcome


def run(task: Task, options: Options, stop: StopRequest) -> NoReturn:
    """Fit `task` as a program does: the result is the last line.

    The exit code is 0, 2 for a checkpoint that cannot be read or written, or 143 after SIGTERM.
    """
    try:
        print(fit(task, options, stop), flush=True)
    except Stopped:
        saved = options.checkpoint is not None and options.checkpoint.exists()
        where = f"resume with --checkpoint {options.checkpoint}" if saved else "no epoch was saved"
        print(f"{'stopped by SIGTERM' if stop.made else 'asked to stop'}; {where}", file=sys.stderr)
        sys.exit(EXIT_TERMINATED)
    except CheckpointError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    sys.exit(0)


def _identity(options: Options) -> dict[str, Any]:
    # What a run must share with the one it resumes, to end as that one would have ended.
    return {name: getattr(options, name) for name in ("workload", "epochs", "patience", "seed")}


def _parts(task: Task) -> dict[str, Stateful]:
    return {**task.models, **task.tools}


def _resume(task: Task, options: Options) -> Progress:
    if options.checkpoint is None or not options.checkpoint.exists():
        return Progress()
    progress = checkpoint.load(options.checkpoint, _identity(options), _parts(task))
    print(f"resumed after epoch {progress.epoch} from {options.checkpoint}", flush=True)
    return progress


def _keep_best(task: Task, progress: Progress, score: float) -> None:
    if score < progress.best_score:
        progress.best_score, progress.best_epoch = score, progress.epoch
        progress.best_weights = {name: copy.deepcopy(model.state_dict()) for name, model in task.models.items()}


def _restore_best(task: Task, progress: Progress) -> None:
    for name, weights in progress.best_weights.items():
        task.models[name].load_state_dict(weights)


def _save(task: Task, options: Options, progress: Progress) -> None:
    if options.checkpoint is not None:
        checkpoint.save(options.checkpoint, _identity(options), progress, _parts(task))
        checkpoint_saved(progress.epoch)


def _show(epoch: int, epochs: int, metrics: Metrics) -> None:
    report(step=epoch, **metrics)
    print(f"epoch {epoch}/{epochs} {_pairs(metrics)}", flush=True)


def _finish(options: Options, outcome: Outcome) -> None:
    report(step=outcome.epochs, **outcome.metrics)
    if options.checkpoint is not None and not options.keep_checkpoint:
        options.checkpoint.unlink(missing_ok=True)


def _pairs(metrics: Metrics) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
