"""Every training learns what chance, or knowing nothing, cannot reach."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dcdaemon.workloads import (
    digits_cnn,
    digits_gan,
    rl_cartpole,
    sunspots_lstm,
    tabular_transformer,
    training,
)
from dcdaemon.workloads.options import Options
from dcdaemon.workloads.training import Metrics, StopRequest, Task

CPU = torch.device("cpu")


def train(build: Callable[[Options, torch.device], Task], epochs: int) -> Metrics:
    options = Options("tried", epochs, epochs, seed=0, threads=1, checkpoint=None, keep_checkpoint=False)
    training.prepare(options)
    return training.fit(build(options, CPU), options, StopRequest()).metrics


@pytest.mark.slow
def test_the_cnn_reads_digits():
    assert train(digits_cnn.build, epochs=8)["accuracy"] > 0.93, "chance is 0.10"


@pytest.mark.slow
def test_the_lstm_forecasts_better_than_persistence():
    metrics = train(sunspots_lstm.build, epochs=50)
    assert metrics["persistence_rmse"] == pytest.approx(33.28, abs=0.01)
    assert metrics["rmse"] < 0.8 * metrics["persistence_rmse"]


@pytest.mark.slow
def test_a_classifier_learns_digits_from_what_the_gan_draws():
    torch.manual_seed(0)
    options = Options("tried", 4, 4, seed=0, threads=1, checkpoint=None, keep_checkpoint=False)
    untrained = digits_gan.build(options, CPU).test()
    trained = train(digits_gan.build, epochs=4)
    assert trained["accuracy"] > max(0.6, untrained["accuracy"] + 0.3), "chance is 0.10"
    assert trained["accuracy_from_real"] > 0.9


def test_the_transformer_tells_malignant_from_benign():
    assert train(tabular_transformer.build, epochs=5)["accuracy"] > 0.85, "the larger class has 0.63"


def test_the_policy_keeps_the_pole_up():
    options = Options("tried", 6, 6, seed=0, threads=1, checkpoint=None, keep_checkpoint=False)
    training.prepare(options)
    untrained = rl_cartpole.build(options, CPU).test()["mean_return"]
    assert train(rl_cartpole.build, epochs=6)["mean_return"] > max(150, 3 * untrained)


def test_judging_a_gan_does_not_change_what_it_learns_next():
    options = Options("tried", 1, 1, seed=0, threads=1, checkpoint=None, keep_checkpoint=False)
    training.prepare(options)
    task = digits_gan.build(options, CPU)
    before = torch.get_rng_state()
    first = task.validate()
    assert torch.equal(torch.get_rng_state(), before)
    assert task.validate() == first


def test_no_training_writes_into_its_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    train(tabular_transformer.build, epochs=1)
    assert list(tmp_path.iterdir()) == []
