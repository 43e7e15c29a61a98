"""A conditional GAN that draws handwritten digits, judged by what a classifier learns from its drawings."""

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from dcdaemon.workloads import digits, training
from dcdaemon.workloads.options import Options, parse
from dcdaemon.workloads.supervised import Examples, Split, accuracy, shuffled_split

NOISE = 32
BATCH_SIZE = 64
# The set is small: one pass is too little between two validations.
PASSES_PER_EPOCH = 2
JUDGED_DRAWINGS = 1000


class Generator(nn.Module):
    """Draws the digit it is asked for from noise."""

    def __init__(self) -> None:
        """Make an untrained generator."""
        super().__init__()
        self.start = nn.Sequential(nn.Linear(NOISE + digits.CLASSES, 64 * 2 * 2), nn.Unflatten(1, (64, 2, 2)))
        self.grow = nn.Sequential(
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        """Return images, (N, 1, 8, 8), for noise, (N, NOISE), and the digits wanted, (N,)."""
        wanted = nn.functional.one_hot(classes, digits.CLASSES).to(noise.dtype)
        images: Tensor = self.grow(self.start(torch.cat([noise, wanted], 1)))
        return images


class Critic(nn.Module):
    """Scores how real an image of a given digit looks (projection discriminator, Miyato and Koyama 2018)."""

    def __init__(self) -> None:
        """Make an untrained critic."""
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.realness = nn.Linear(64 * 2 * 2, 1)
        self.likeness = nn.Embedding(digits.CLASSES, 64 * 2 * 2)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Return scores, (N,), above zero for images taken for real."""
        features = self.features(images)
        scores: Tensor = self.realness(features).squeeze(1) + (features * self.likeness(classes)).sum(1)
        return scores


class DigitsGan:
    """The training task; its score is the share of real digits that a pupil of its drawings misreads."""

    def __init__(self, split: Split, epochs: int, device: torch.device) -> None:
        """Make untrained networks on the split's device."""
        self.split, self.device = split, device
        self.generator, self.critic = Generator().to(device), Critic().to(device)
        self.models: training.Models = {"generator": self.generator, "critic": self.critic}
        self._optimisers = [
            AdamW(model.parameters(), lr=1e-3, betas=(0.0, 0.99), weight_decay=0) for model in self.models.values()
        ]
        self._schedules = [CosineAnnealingLR(optimiser, T_max=epochs) for optimiser in self._optimisers]
        self.tools: training.Tools = {
            **{f"optimiser_{name}": tool for name, tool in zip(self.models, self._optimisers, strict=True)},
            **{f"schedule_{name}": tool for name, tool in zip(self.models, self._schedules, strict=True)},
        }

    def train_epoch(self, stop: training.StopRequest) -> training.Metrics:
        """Take turns over PASSES_PER_EPOCH passes; return both mean losses."""
        self.generator.train()
        train = self.split.train
        losses = [
            self._turn(train.at(indices.to(self.device)))
            for _ in range(PASSES_PER_EPOCH)
            for indices in training.batches(len(train.answers), BATCH_SIZE, stop)
        ]
        d_loss, g_loss = torch.stack(losses).mean(0).tolist()
        return {"d_loss": d_loss, "g_loss": g_loss}

    def validate(self) -> tuple[float, training.Metrics]:
        """Judge the drawings by the validation digits."""
        learned = self._judge(self.draw(), self.split.validation)
        return 1 - learned["accuracy"], learned

    def adjust(self, score: float) -> None:
        """Lower both learning rates."""
        del score  # the schedule is a fixed one: neither loss nor score of a GAN falls steadily
        for schedule in self._schedules:
            schedule.step()

    def test(self) -> training.Metrics:
        """Judge the drawings by the test digits, beside what the same classifier learns from real ones."""
        learned = self._judge(self.draw(), self.split.test)
        possible = self._judge(self.split.train, self.split.test)
        return {**learned, "accuracy_from_real": possible["accuracy"]}

    @torch.no_grad()
    def draw(self) -> Examples:
        """Return JUDGED_DRAWINGS drawings, equally many of each digit; the same ones for the same weights."""
        self.generator.eval()
        noise = torch.randn(JUDGED_DRAWINGS, NOISE, generator=torch.Generator().manual_seed(0)).to(self.device)
        classes = torch.arange(JUDGED_DRAWINGS, device=self.device) % digits.CLASSES
        return Examples(self.generator(noise, classes), classes)

    def _turn(self, real: Examples) -> Tensor:
        """Let critic and generator each take one step; return their losses."""
        noise = torch.randn(len(real.answers), NOISE, device=self.device)
        drawn = self.generator(noise, real.answers)
        # The hinge loss (Lim and Ye 2017): scores past one earn nothing more, so neither side runs away.
        d_loss = (1 - self.critic(real.inputs, real.answers)).relu().mean()
        d_loss = d_loss + (1 + self.critic(drawn.detach(), real.answers)).relu().mean()
        g_optimiser, d_optimiser = self._optimisers
        training.descend(d_optimiser, d_loss)
        g_loss = -self.critic(drawn, real.answers).mean()
        training.descend(g_optimiser, g_loss)
        return torch.stack([d_loss.detach(), g_loss.detach()])

    def _judge(self, lessons: Examples, exam: Examples) -> training.Metrics:
        """Train a classifier on `lessons` and return how it does in `exam` (Ravuri and Vinyals 2019)."""
        with torch.random.fork_rng():  # judging must not change what the training draws next
            torch.manual_seed(0)
            pupil = nn.Sequential(
                nn.Flatten(), nn.Linear(digits.SIDE**2, 64), nn.ReLU(), nn.Linear(64, digits.CLASSES)
            ).to(self.device)
            optimiser = AdamW(pupil.parameters(), lr=1e-2)
            for _ in range(60):
                training.descend(optimiser, nn.functional.cross_entropy(pupil(lessons.inputs), lessons.answers))
            with torch.no_grad():
                return accuracy(pupil(exam.inputs), exam.answers)


def build(options: Options, device: torch.device) -> DigitsGan:
    """Return the training task."""
    return DigitsGan(shuffled_split(digits.load(), options.seed).to(device), options.epochs, device)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the training as a program."""
    options = parse(argv, workload="digits_gan", description=__doc__, epochs=25, patience=6)
    stop = training.StopRequest()
    stop.listen()
    training.run(build(options, training.prepare(options)), options, stop)


if __name__ == "__main__":
    main()
