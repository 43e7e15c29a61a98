"""Handwritten digits: 1,797 real 8x8 images shipped by scikit-learn (UCI optdigits), and their variation."""

import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from dcdaemon.workloads.supervised import Examples

CLASSES = 10
SIDE = 8


def load() -> Examples:
    """Return all images, (1797, 1, 8, 8) from 0 to 1, with the digits they show."""
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    return Examples(images, torch.tensor(bunch.target, dtype=torch.long))


def augment(images: Tensor) -> Tensor:
    """Turn each image by up to 12 degrees, shift it by up to a pixel, and add a little noise."""
    count, device = len(images), images.device
    angle = _between(count, math.radians(12), device)
    # Coordinates run from -1 to 1 over the side, so a pixel is 2 / SIDE.
    shift = _between(count * 2, 2 / SIDE, device).view(count, 2, 1)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(count, 2, 2)
    grid = nn.functional.affine_grid(torch.cat([turn, shift], 2), list(images.shape), align_corners=False)
    moved = nn.functional.grid_sample(images, grid, align_corners=False)
    return moved + 0.05 * torch.randn_like(moved)


def _between(count: int, limit: float, device: torch.device) -> Tensor:
    return (torch.rand(count, device=device) * 2 - 1) * limit
