"""The problems are what they claim to be: real data split without overlap, and true physics."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.workloads import breast_cancer, cartpole, digits, sunspots
from dcdaemon.workloads.cartpole import CartPoles
from dcdaemon.workloads.rl_cartpole import DISCOUNT, TRACE_DECAY, advantages
from dcdaemon.workloads.supervised import Examples, shuffled_split


@given(count=st.integers(5, 200), seed=st.integers(0, 2**31))
def test_a_shuffled_split_uses_each_example_once(count: int, seed: int):
    rows = torch.arange(count)
    split = shuffled_split(Examples(rows, rows), seed)
    assert sorted(torch.cat([part.answers for part in split]).tolist()) == list(range(count))
    assert all(torch.equal(part.inputs, part.answers) for part in split)
    again = shuffled_split(Examples(rows, rows), seed)
    assert all(torch.equal(one.answers, other.answers) for one, other in zip(split, again, strict=True))
    assert [len(part.answers) for part in split] == pytest.approx([0.6 * count, 0.2 * count, 0.2 * count], abs=1)


def test_the_digits_are_all_there():
    examples = digits.load()
    assert examples.inputs.shape == (1797, 1, 8, 8)
    assert (examples.inputs.min(), examples.inputs.max()) == (0, 1)
    assert examples.answers.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_an_augmented_digit_moves_little():
    torch.manual_seed(0)
    images = digits.load().inputs
    varied = digits.augment(images)
    assert varied.shape == images.shape
    assert not torch.allclose(varied, images, atol=0.1)
    shift = (centre(varied) - centre(images)).abs()
    assert 0.2 < shift.mean() < 1.0
    assert shift.quantile(0.99) < 2.0


def centre(images: torch.Tensor) -> torch.Tensor:
    pixel = torch.arange(8.0)
    mass = images.clamp(min=0).squeeze(1)
    total = mass.sum((1, 2))
    return torch.stack([(mass.sum(1) * pixel).sum(1) / total, (mass.sum(2) * pixel).sum(1) / total], 1)


def test_a_sunspot_forecast_never_learns_from_the_future():
    series = sunspots.series()
    assert len(series) == 309
    split = sunspots.split()
    answers = torch.cat([part.answers for part in split])
    assert torch.equal(answers, series[sunspots.WINDOW_YEARS :])
    windows = torch.cat([part.inputs for part in split]).squeeze(2)
    assert torch.equal(windows[0], series[: sunspots.WINDOW_YEARS])
    assert torch.equal(windows[1:, -1], answers[:-1])
    assert [len(part.answers) for part in split] == [163, 62, 62]


def test_measurements_are_standardised_by_the_training_set_alone():
    split = breast_cancer.split(seed=0)
    assert split.train.inputs.mean(0).abs().max() < 1e-4
    assert split.train.inputs.std(0).sub(1).abs().max() < 1e-4
    assert split.test.inputs.mean(0).abs().max() > 0.01
    assert sum(len(part.answers) for part in split) == 569


SMALL = st.floats(-2, 2)


@given(speed=SMALL, lean=st.floats(-0.3, 0.3), rate=SMALL, action=st.sampled_from([0, 1]))
def test_a_cart_moves_as_the_equations_of_motion_say(speed: float, lean: float, rate: float, action: int):
    state = torch.tensor([[0.5, speed, lean, rate]], dtype=torch.float64)
    before = state[0]
    after = cartpole.moved(state, torch.tensor([action]))[0]
    sin, cos = before[2].sin(), before[2].cos()
    arm = cartpole.POLE_KG * cartpole.HALF_POLE_M
    # The Lagrange equations of cart and pole, as a linear system in the two accelerations.
    masses = torch.stack(
        [
            torch.stack([torch.tensor(1.1, dtype=torch.float64), arm * cos]),
            torch.stack([cos, torch.tensor(cartpole.HALF_POLE_M * 4 / 3, dtype=torch.float64)]),
        ]
    )
    push = cartpole.PUSH_N if action else -cartpole.PUSH_N
    forces = torch.stack([push + arm * before[3] ** 2 * sin, cartpole.GRAVITY_M_S2 * sin])
    accelerations = torch.linalg.solve(masses, forces)
    assert torch.allclose(after[0], before[0] + 0.02 * before[1])
    assert torch.allclose(after[2], before[2] + 0.02 * before[3])
    assert torch.allclose(after[[1, 3]], before[[1, 3]] + 0.02 * accelerations)


def test_an_episode_ends_with_a_fall_or_at_its_last_step():
    torch.manual_seed(0)
    carts = CartPoles(4)
    carts.state = torch.zeros(4, 4)
    carts.state[0, 2] = cartpole.LEAN_RAD + 0.1
    carts.state[1, 0] = -cartpole.TRACK_M - 0.1
    carts.steps[:] = torch.tensor([5, 5, 5, cartpole.EPISODE_STEPS - 1])
    fell, finished = carts.step(torch.tensor([0, 1, 0, 1]))
    assert fell.tolist() == [True, True, False, False]
    assert finished.tolist() == [False, False, False, True]
    assert carts.steps.tolist() == [0, 0, 6, 0]
    assert carts.state[[0, 1, 3]].abs().max() <= cartpole.START_SPREAD


def test_an_advantage_counts_what_comes_until_the_fall():
    values = torch.tensor([[2.0, 2.0], [3.0, 3.0]])
    fell = torch.tensor([[False, False], [True, False]])
    finished = torch.tensor([[False, False], [False, True]])
    gained = advantages(values, torch.tensor([50.0, 50.0]), fell, finished)
    last = torch.tensor([1 - 3.0, 1 + DISCOUNT * 3 - 3])
    first = 1 + DISCOUNT * 3 - 2 + DISCOUNT * TRACE_DECAY * last
    assert torch.allclose(gained, torch.stack([first, last]))
