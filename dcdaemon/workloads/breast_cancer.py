"""Breast-cancer cell nuclei: 569 real samples of 30 measurements that scikit-learn ships (UCI WDBC)."""

import torch
from sklearn.datasets import load_breast_cancer

from dcdaemon.workloads.supervised import Examples, Split, shuffled_split

FEATURES = 30
CLASSES = 2


def split(seed: int) -> Split:
    """Return standardised measurements, (N, FEATURES), and diagnoses, (N,): 0 malignant, 1 benign."""
    bunch = load_breast_cancer()
    measurements = torch.tensor(bunch.data, dtype=torch.float32)
    raw = shuffled_split(Examples(measurements, torch.tensor(bunch.target, dtype=torch.long)), seed)
    mean, spread = raw.train.inputs.mean(0), raw.train.inputs.std(0)
    return Split(*(Examples((part.inputs - mean) / spread, part.answers) for part in raw))
