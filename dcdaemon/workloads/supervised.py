"""Supervised learning as a training task: examples with answers, split into training, validation and test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from dcdaemon.workloads import training
from dcdaemon.workloads.training import Metrics, StopRequest


class Examples(NamedTuple):
    """Inputs and their answers, row by row."""

    inputs: Tensor
    answers: Tensor

    def to(self, device: torch.device) -> "Examples":
        """Return the same examples on `device`."""
        return Examples(self.inputs.to(device), self.answers.to(device))

    def at(self, indices: Tensor) -> "Examples":
        """Return the examples at `indices`."""
        return Examples(self.inputs[indices], self.answers[indices])


class Split(NamedTuple):
    """Three sets of examples that share none: to learn from, to choose by, and to judge with at the end."""

    train: Examples
    validation: Examples
    test: Examples

    def to(self, device: torch.device) -> "Split":
        """Return the same split on `device`."""
        return Split(self.train.to(device), self.validation.to(device), self.test.to(device))


def shuffled_split(examples: Examples, seed: int) -> Split:
    """Split 60 : 20 : 20 in random order; the order depends on `seed` alone."""
    count = len(examples.answers)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    train, validation, test = order.tensor_split([count * 6 // 10, count * 8 // 10])
    return Split(examples.at(train), examples.at(validation), examples.at(test))


Judge = Callable[[Tensor, Tensor], Metrics]
Augment = Callable[[Tensor], Tensor]


def unchanged(inputs: Tensor) -> Tensor:
    """Augment nothing."""
    return inputs


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to minimise, in batches of which size, how inputs are varied, and what to show of the outputs."""

    loss: Callable[[Tensor, Tensor], Tensor]
    judge: Judge
    batch_size: int
    augment: Augment = unchanged


class Supervised:
    """A model that learns a split by a recipe; the validation loss is its score."""

    def __init__(self, model: nn.Module, split: Split, recipe: Recipe, optimiser: AdamW, schedule: LRScheduler) -> None:
        """Take a model and a split that live on one device."""
        self._model, self.split, self._recipe = model, split, recipe
        self._optimiser, self._schedule = optimiser, schedule
        self.models: training.Models = {"model": model}
        self.tools: training.Tools = {"optimiser": optimiser, "schedule": schedule}

    def train_epoch(self, stop: StopRequest) -> Metrics:
        """Take one step per batch; return the mean training loss and the learning rate used."""
        self._model.train()
        train = self.split.train
        total = torch.zeros((), device=train.inputs.device)
        for indices in training.batches(len(train.answers), self._recipe.batch_size, stop):
            inputs, answers = train.at(indices.to(train.inputs.device))
            loss = self._recipe.loss(self._model(self._recipe.augment(inputs)), answers)
            training.descend(self._optimiser, loss)
            total += loss.detach() * len(answers)
        learning_rate = self._optimiser.param_groups[0]["lr"]
        return {"train_loss": total.item() / len(train.answers), "learning_rate": learning_rate}

    def validate(self) -> tuple[float, Metrics]:
        """Judge the model on the validation examples."""
        metrics = self._judge(self.split.validation)
        return metrics["loss"], metrics

    def adjust(self, score: float) -> None:
        """Lower the learning rate as the schedule says."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(score)
        else:
            self._schedule.step()

    def test(self) -> Metrics:
        """Judge the model on the test examples."""
        return self._judge(self.split.test)

    @torch.no_grad()
    def _judge(self, examples: Examples) -> Metrics:
        self._model.eval()
        outputs = self._model(examples.inputs)
        loss = self._recipe.loss(outputs, examples.answers).item()
        return {"loss": loss, **self._recipe.judge(outputs, examples.answers)}


def accuracy(outputs: Tensor, answers: Tensor) -> Metrics:
    """Return the share of rows whose highest output is the right class."""
    return {"accuracy": (outputs.argmax(1) == answers).float().mean().item()}
