"""Many carts, each with a pole to balance: the problem of Barto, Sutton and Anderson (1983)."""

import math

import torch
from torch import Tensor

GRAVITY_M_S2 = 9.8
CART_KG = 1.0
POLE_KG = 0.1
HALF_POLE_M = 0.5
PUSH_N = 10.0
STEP_S = 0.02
TRACK_M = 2.4
LEAN_RAD = math.radians(12)
# Each start is this far, at most, from a pole at rest in the middle of the track.
START_SPREAD = 0.05
# An episode that gets so far has succeeded and ends.
EPISODE_STEPS = 500

OBSERVATIONS = 4
ACTIONS = 2


class CartPoles:
    """Several carts; the columns of `state` are position (m), speed (m/s), lean (rad), its rate (rad/s)."""

    def __init__(self, count: int, generator: torch.Generator | None = None) -> None:
        """Place each of `count` carts at a random start, drawn from `generator` (None: PyTorch's own)."""
        self._generator = generator
        self.state = self._starts(count)
        self.steps = torch.zeros(count, dtype=torch.long)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Push each cart left (0) or right (1) for STEP_S, and put those that ended at a new start.

        Returns which fell (lean or track exceeded), and which reached EPISODE_STEPS instead.
        """
        self.state = moved(self.state, actions)
        self.steps += 1
        fell = (self.state[:, 0].abs() > TRACK_M) | (self.state[:, 2].abs() > LEAN_RAD)
        finished = ~fell & (self.steps >= EPISODE_STEPS)
        ended = fell | finished
        self.state = torch.where(ended.unsqueeze(1), self._starts(len(ended)), self.state)
        self.steps[ended] = 0
        return fell, finished

    def state_dict(self) -> dict[str, Tensor]:
        """Return where every cart is and how long its episode has run."""
        return {"state": self.state, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Put every cart back."""
        self.state, self.steps = state_dict["state"], state_dict["steps"]

    def _starts(self, count: int) -> Tensor:
        return (torch.rand(count, OBSERVATIONS, generator=self._generator) * 2 - 1) * START_SPREAD


def moved(state: Tensor, actions: Tensor) -> Tensor:
    """Return `state` one step later (explicit Euler), without friction."""
    _, speed, lean, rate = state.unbind(1)
    push = PUSH_N * (2 * actions - 1)
    sin, cos = lean.sin(), lean.cos()
    total_kg = CART_KG + POLE_KG
    pole_moment = POLE_KG * HALF_POLE_M
    drive = (push + pole_moment * rate.square() * sin) / total_kg
    turn = (GRAVITY_M_S2 * sin - cos * drive) / (HALF_POLE_M * (4 / 3 - POLE_KG * cos.square() / total_kg))
    acceleration = drive - pole_moment * turn * cos / total_kg
    return state + STEP_S * torch.stack([speed, acceleration, rate, turn], 1)
