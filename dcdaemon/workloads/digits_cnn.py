"""A convolutional network that reads handwritten digits, trained on augmented images."""

from typing import NoReturn

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from dcdaemon.workloads import digits, training
from dcdaemon.workloads.options import Options, parse
from dcdaemon.workloads.supervised import Recipe, Supervised, accuracy, shuffled_split


def network() -> nn.Module:
    """Return the untrained network: (N, 1, 8, 8) images in, (N, 10) class scores out."""
    return nn.Sequential(
        *_block(1, 16),
        *_block(16, 32),
        nn.MaxPool2d(2),
        *_block(32, 64),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 2 * 2, digits.CLASSES),
    )


def build(options: Options, device: torch.device) -> Supervised:
    """Return the training task."""
    model = network().to(device)
    optimiser = AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    return Supervised(
        model,
        shuffled_split(digits.load(), options.seed).to(device),
        Recipe(nn.CrossEntropyLoss(), accuracy, batch_size=64, augment=digits.augment),
        optimiser,
        CosineAnnealingLR(optimiser, T_max=options.epochs),
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the training as a program."""
    options = parse(argv, workload="digits_cnn", description=__doc__, epochs=25, patience=8)
    stop = training.StopRequest()
    stop.listen()
    training.run(build(options, training.prepare(options)), options, stop)


def _block(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]


if __name__ == "__main__":
    main()
