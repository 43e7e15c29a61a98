"""The loop stops when it should, tests the best weights, and resumes as if it had never stopped."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from dcdaemon.workloads import (
    checkpoint,
    digits_cnn,
    digits_gan,
    rl_cartpole,
    sunspots_lstm,
    tabular_transformer,
    training,
)
from dcdaemon.workloads.checkpoint import CheckpointError
from dcdaemon.workloads.options import Options, parse
from dcdaemon.workloads.training import Metrics, StopRequest, Task

OPTIONS = Options("tried", epochs=20, patience=3, seed=0, threads=1, checkpoint=None, keep_checkpoint=True)
CPU = torch.device("cpu")


class Scripted:
    """Learns nothing: its one weight is the epoch, and its scores are given."""

    def __init__(self, scores: list[float]) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        self.models: training.Models = {"model": self.model}
        self.tools: training.Tools = {}
        self._scores: Iterator[float] = itertools.chain(scores, itertools.repeat(9.0))
        self._epoch = 0
        self.adjusted: list[float] = []

    def train_epoch(self, stop: StopRequest) -> Metrics:
        stop.check()
        self._epoch += 1
        nn.init.constant_(self.model.weight, self._epoch)
        return {}

    def validate(self) -> tuple[float, Metrics]:
        score = next(self._scores)
        return score, {"loss": score}

    def adjust(self, score: float) -> None:
        self.adjusted.append(score)

    def test(self) -> Metrics:
        return {"weight": self.model.weight.item()}


class StopAfter(StopRequest):
    """Is made at the given check, as a signal would be."""

    def __init__(self, checks: int) -> None:
        super().__init__()
        self._left = checks

    def check(self) -> None:
        self._left -= 1
        self.made = self._left < 0
        super().check()


def test_it_stops_early_and_tests_the_best_weights():
    task = Scripted([3.0, 1.0, 2.0, 1.0, 2.0])
    outcome = training.fit(task, OPTIONS, StopRequest())
    assert outcome.metrics == {"weight": 2.0}, "epoch 2 was the first with the lowest score"
    assert (outcome.epochs, outcome.stopped_early) == (5, True)
    assert task.adjusted == [3.0, 1.0, 2.0, 1.0, 2.0]
    assert str(outcome) == "result weight=2 epochs=5 stopped=early"


def test_it_runs_to_the_end_while_it_gets_better():
    outcome = training.fit(Scripted([5.0, 4.0, 3.0]), replace(OPTIONS, epochs=3), StopRequest())
    assert str(outcome) == "result weight=3 epochs=3 stopped=at_end"


def test_a_training_that_diverges_at_once_stops_after_its_patience():
    outcome = training.fit(Scripted([float("nan")] * 20), OPTIONS, StopRequest())
    assert (outcome.epochs, outcome.stopped_early) == (3, True)


@pytest.mark.parametrize(
    "build",
    [module.build for module in (digits_cnn, digits_gan, rl_cartpole, sunspots_lstm, tabular_transformer)],
    ids=lambda build: build.__module__.rpartition(".")[2],
)
def test_a_resumed_training_ends_bit_for_bit_like_one_that_never_stopped(
    tmp_path: Path, build: Callable[[Options, torch.device], Task]
):
    straight = replace(OPTIONS, epochs=2, checkpoint=tmp_path / "straight.pt")
    broken = replace(straight, checkpoint=tmp_path / "broken.pt")
    training.prepare(straight)
    whole = training.fit(build(straight, CPU), straight, counter := CountChecks())

    training.prepare(broken)
    with pytest.raises(training.Stopped):
        training.fit(build(broken, CPU), broken, StopAfter(counter.checks * 3 // 4))
    torch.manual_seed(99)  # a new process begins elsewhere: only the checkpoint may decide how it goes on
    resumed = training.fit(build(broken, CPU), broken, StopRequest())

    assert resumed == whole
    assert_same(read(tmp_path / "broken.pt"), read(tmp_path / "straight.pt"))


class CountChecks(StopRequest):
    """Is never made, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    def check(self) -> None:
        self.checks += 1


def read(path: Path) -> object:
    return torch.load(path, weights_only=True)


def assert_same(one: object, other: object, where: str = "checkpoint"):
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def test_a_finished_training_only_tests_again(tmp_path: Path):
    options = replace(OPTIONS, epochs=2, checkpoint=tmp_path / "done.pt")
    first = training.fit(Scripted([2.0, 1.0]), options, StopRequest())
    again = Scripted([])
    assert training.fit(again, options, StopRequest()) == first
    assert again.adjusted == []


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(tmp_path: Path, content: bytes | None):
    path = tmp_path / "bad.pt"
    if content is None:
        torch.save({"format": 99}, path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"bad\.pt") as refused:
        training.fit(Scripted([]), replace(OPTIONS, checkpoint=path), StopRequest())
    assert refused.value.hint
    assert path.read_bytes() == before


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path):
    path = tmp_path / "evil.pt"
    torch.save({"format": checkpoint.FORMAT, "run": Options}, path)
    with pytest.raises(CheckpointError, match="UnpicklingError"):
        training.fit(Scripted([]), replace(OPTIONS, checkpoint=path), StopRequest())


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path):
    options = replace(OPTIONS, epochs=1, checkpoint=tmp_path / "run.pt")
    training.fit(Scripted([1.0]), options, StopRequest())
    with pytest.raises(CheckpointError, match="another run: epochs 1 there, 2 here, seed 0 there, 5 here"):
        training.fit(Scripted([]), replace(options, epochs=2, seed=5), StopRequest())


def test_a_checkpoint_that_cannot_be_written_leaves_no_draft(tmp_path: Path):
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        training.fit(Scripted([]), replace(OPTIONS, checkpoint=tmp_path / "missing" / "run.pt"), StopRequest())
    (tmp_path / "taken.pt").mkdir()
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        checkpoint.save(tmp_path / "taken.pt", {}, checkpoint.Progress(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["taken.pt"]


def test_a_job_keeps_its_checkpoint_until_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DCD_JOB_ID", "42")
    monkeypatch.chdir(tmp_path)
    options = parse([], workload="tried", description="", epochs=3, patience=3)
    with pytest.raises(training.Stopped):
        training.fit(Scripted([3.0, 2.0, 1.0]), options, StopAfter(2))
    assert [path.name for path in tmp_path.iterdir()] == ["tried-job42.pt"]
    training.fit(Scripted([2.0, 1.0]), options, StopRequest())
    assert list(tmp_path.iterdir()) == []


def test_outside_a_job_no_file_is_written_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DCD_JOB_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    options = parse(["--epochs", "2"], workload="tried", description="", epochs=3, patience=3)
    assert training.fit(Scripted([2.0, 1.0]), options, StopRequest()).epochs == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--patience", "-1"], ["--seed", "x"], ["--threads", "0"]])
def test_wrong_usage_exits_with_2(arguments: list[str]):
    with pytest.raises(SystemExit) as exited:
        parse(arguments, workload="tried", description="", epochs=3, patience=3)
    assert exited.value.code == 2
