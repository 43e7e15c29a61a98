"""A policy that learns to balance a pole by trial and error, with proximal policy optimisation (PPO)."""

from typing import NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from dcdaemon.workloads import cartpole, training
from dcdaemon.workloads.cartpole import CartPoles
from dcdaemon.workloads.options import Options, parse

CARTS = 32
STEPS_PER_EPOCH = 128
PASSES = 4
BATCH_SIZE = 512
DISCOUNT = 0.99
# How far an advantage looks ahead (Schulman et al. 2016, lambda of GAE).
TRACE_DECAY = 0.95
# How far one epoch may move the odds of an action (Schulman et al. 2017, epsilon of PPO).
CLIP = 0.2
ENTROPY_BONUS = 0.01
VALUE_WEIGHT = 0.5

VALIDATION_SEED, TEST_SEED = 1_000_001, 1_000_002
JUDGED_EPISODES = 32


class ActorCritic(nn.Module):
    """Chooses a push, and guesses what return is still to come."""

    def __init__(self) -> None:
        """Make an untrained network."""
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(cartpole.OBSERVATIONS, 64), nn.Tanh(), nn.Linear(64, cartpole.ACTIONS))
        self.critic = nn.Sequential(nn.Linear(cartpole.OBSERVATIONS, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, states: Tensor) -> tuple[Categorical, Tensor]:
        """Return the odds of each push, and the value, (N,), of each state."""
        return Categorical(logits=self.actor(states), validate_args=False), self.critic(states).squeeze(1)


class Experience(NamedTuple):
    """What was seen, done and got, one row per step of one cart."""

    states: Tensor
    actions: Tensor
    log_odds: Tensor
    advantages: Tensor
    returns: Tensor

    def at(self, indices: Tensor) -> "Experience":
        """Return the rows at `indices`."""
        return Experience(*(column[indices] for column in self))


class CartPoleTask:
    """The training task; its score is the share of an episode's steps that the pole was not kept up."""

    def __init__(self, epochs: int, device: torch.device) -> None:
        """Make an untrained policy; the carts themselves are simulated on the CPU."""
        self._device = device
        self.policy = ActorCritic().to(device)
        self._optimiser = AdamW(self.policy.parameters(), lr=3e-3, weight_decay=0)
        self._schedule = CosineAnnealingLR(self._optimiser, T_max=epochs)
        # Episodes run on from one epoch to the next, so that their late steps are seen as well.
        self._carts = CartPoles(CARTS)
        self.models: training.Models = {"policy": self.policy}
        self.tools: training.Tools = {
            "optimiser": self._optimiser,
            "schedule": self._schedule,
            "carts": self._carts,
        }

    def train_epoch(self, stop: training.StopRequest) -> training.Metrics:
        """Try the policy for STEPS_PER_EPOCH steps on CARTS carts, and learn from them in PASSES passes."""
        experience = self._try_out(stop)
        losses = [
            self._learn(experience.at(indices.to(self._device)))
            for _ in range(PASSES)
            for indices in training.batches(len(experience.actions), BATCH_SIZE, stop)
        ]
        return {"loss": torch.stack(losses).mean().item()}

    def validate(self) -> tuple[float, training.Metrics]:
        """Judge the policy from starts that are the same in each epoch."""
        return self._judge(VALIDATION_SEED)

    def adjust(self, score: float) -> None:
        """Lower the learning rate."""
        del score  # the schedule is a fixed one
        self._schedule.step()

    def test(self) -> training.Metrics:
        """Judge the policy from starts that validation did not use."""
        return self._judge(TEST_SEED)[1]

    @torch.no_grad()
    def _try_out(self, stop: training.StopRequest) -> Experience:
        steps = []
        for _ in range(STEPS_PER_EPOCH):
            stop.check()
            states = self._carts.state.to(self._device)
            odds, values = self.policy(states)
            actions = odds.sample()
            fell, finished = self._carts.step(actions.cpu())
            steps.append(
                (
                    states,
                    actions,
                    odds.log_prob(actions),
                    values,
                    fell.to(self._device),
                    finished.to(self._device),
                )
            )
        states, actions, log_odds, values, fell, finished = (torch.stack(column) for column in zip(*steps, strict=True))
        last_values = self.policy(self._carts.state.to(self._device))[1]
        gained = advantages(values, last_values, fell, finished)
        return Experience(*(column.flatten(0, 1) for column in (states, actions, log_odds, gained, gained + values)))

    def _learn(self, seen: Experience) -> Tensor:
        odds, values = self.policy(seen.states)
        gained = (seen.advantages - seen.advantages.mean()) / (seen.advantages.std() + 1e-8)
        ratio = (odds.log_prob(seen.actions) - seen.log_odds).exp()
        policy_loss = -torch.minimum(ratio * gained, ratio.clamp(1 - CLIP, 1 + CLIP) * gained).mean()
        value_loss = nn.functional.smooth_l1_loss(values, seen.returns)
        loss: Tensor = policy_loss + VALUE_WEIGHT * value_loss - ENTROPY_BONUS * odds.entropy().mean()
        training.descend(self._optimiser, loss, clip_norm=0.5)
        return loss.detach()

    @torch.no_grad()
    def _judge(self, seed: int) -> tuple[float, training.Metrics]:
        """Play JUDGED_EPISODES episodes with the likeliest push at every step."""
        carts = CartPoles(JUDGED_EPISODES, torch.Generator().manual_seed(seed))
        up = torch.ones(JUDGED_EPISODES, dtype=torch.bool)
        kept_up = torch.zeros(JUDGED_EPISODES)
        for _ in range(cartpole.EPISODE_STEPS):
            kept_up += up
            fell, _ = carts.step(self.policy.actor(carts.state.to(self._device)).argmax(1).cpu())
            up &= ~fell
            if not up.any():
                break
        mean_steps = kept_up.mean().item()
        return 1 - mean_steps / cartpole.EPISODE_STEPS, {"mean_return": mean_steps}


def advantages(values: Tensor, last_values: Tensor, fell: Tensor, finished: Tensor) -> Tensor:
    """Return how much better each step went than its value foretold (GAE), as (steps, carts).

    Every step earns 1. After a fall nothing more is to come. After a finished episode more would have come:
    the value of the step itself stands for it.
    """
    gained = torch.zeros_like(values)
    trace = torch.zeros_like(last_values)
    coming = last_values
    for step in reversed(range(len(values))):
        ahead = torch.where(finished[step], values[step], coming) * ~fell[step]
        surprise = 1 + DISCOUNT * ahead - values[step]
        trace = surprise + DISCOUNT * TRACE_DECAY * trace * ~(fell[step] | finished[step])
        gained[step] = trace
        coming = values[step]
    return gained


def build(options: Options, device: torch.device) -> CartPoleTask:
    """Return the training task."""
    return CartPoleTask(options.epochs, device)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the training as a program."""
    options = parse(argv, workload="rl_cartpole", description=__doc__, epochs=60, patience=15)
    stop = training.StopRequest()
    stop.listen()
    training.run(build(options, training.prepare(options)), options, stop)


if __name__ == "__main__":
    main()
