"""An LSTM that forecasts next year's sunspots, compared with simply repeating this year's."""

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dcdaemon.workloads import sunspots, training
from dcdaemon.workloads.options import Options, parse
from dcdaemon.workloads.supervised import Recipe, Supervised


class Forecaster(nn.Module):
    """Forecasts the change from the last year it was shown, so that no knowledge at all means persistence."""

    def __init__(self) -> None:
        """Make an untrained forecaster."""
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Return next year's number, (N,), for windows of years, (N, WINDOW_YEARS, 1)."""
        states, _ = self.lstm(windows)
        change: Tensor = self.head(states[:, -1]).squeeze(1)
        return windows[:, -1, 0] + change


class SunspotForecast(Supervised):
    """The training task, whose test also judges persistence."""

    def test(self) -> training.Metrics:
        """Judge the model and persistence on the same years, the latest."""
        return {**super().test(), "persistence_rmse": sunspots.persistence_rmse(self.split.test)}


def build(options: Options, device: torch.device) -> SunspotForecast:
    """Return the training task."""
    del options  # nothing but the seed varies, and that has done its work
    model = Forecaster().to(device)
    optimiser = AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
    return SunspotForecast(
        model,
        sunspots.split().to(device),
        Recipe(nn.MSELoss(), _judge, batch_size=32),
        optimiser,
        ReduceLROnPlateau(optimiser, factor=0.5, patience=8),
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the training as a program."""
    options = parse(argv, workload="sunspots_lstm", description=__doc__, epochs=200, patience=40)
    stop = training.StopRequest()
    stop.listen()
    training.run(build(options, training.prepare(options)), options, stop)


def _judge(forecasts: Tensor, truths: Tensor) -> training.Metrics:
    return {"rmse": sunspots.rmse(forecasts, truths)}


if __name__ == "__main__":
    main()
