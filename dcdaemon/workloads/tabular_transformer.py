"""A small transformer that reads a row of measurements as a sentence, to tell malignant cells from benign."""

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from dcdaemon.workloads import breast_cancer, training
from dcdaemon.workloads.options import Options, parse
from dcdaemon.workloads.supervised import Recipe, Supervised, accuracy

WIDTH = 32


class FeatureTransformer(nn.Module):
    """Makes a token of each feature, and reads the class from one more (Gorishniy et al. 2021)."""

    def __init__(self, features: int, classes: int) -> None:
        """Make an untrained network for rows of `features` numbers."""
        super().__init__()
        self.scale = nn.Parameter(torch.randn(features, WIDTH) * 0.1)
        self.place = nn.Parameter(torch.randn(features + 1, WIDTH) * 0.1)
        layer = nn.TransformerEncoderLayer(
            WIDTH, nhead=4, dim_feedforward=2 * WIDTH, dropout=0.1, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, classes))

    def forward(self, rows: Tensor) -> Tensor:
        """Return class scores, (N, classes), for rows, (N, features)."""
        tokens = nn.functional.pad(rows.unsqueeze(2) * self.scale, (0, 0, 1, 0)) + self.place
        scores: Tensor = self.head(self.encoder(tokens)[:, 0])
        return scores


def build(options: Options, device: torch.device) -> Supervised:
    """Return the training task."""
    model = FeatureTransformer(breast_cancer.FEATURES, breast_cancer.CLASSES).to(device)
    optimiser = AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    return Supervised(
        model,
        breast_cancer.split(options.seed).to(device),
        Recipe(nn.CrossEntropyLoss(), accuracy, batch_size=32),
        optimiser,
        CosineAnnealingLR(optimiser, T_max=options.epochs),
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the training as a program."""
    options = parse(argv, workload="tabular_transformer", description=__doc__, epochs=30, patience=10)
    stop = training.StopRequest()
    stop.listen()
    training.run(build(options, training.prepare(options)), options, stop)


if __name__ == "__main__":
    main()
