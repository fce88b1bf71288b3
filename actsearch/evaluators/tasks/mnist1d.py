"""MNIST-1D: ten classes of 40-point signals, generated on the spot.

Source: Greydanus and Kobak 2024, arXiv:2011.14439; the data come from the package `mnist1d`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import torch
from torch import nn

from actsearch.evaluators.result import Rung

from .cache import Arrays, cached_arrays
from .splits import Split, Splits
from .task import ActivationFactory, Task

_TRAIN, _VALIDATION, _FINAL = 4_000, 2_000, 4_000


class Mnist1d(Task):
    """MNIST-1D with a small convolutional network; the default task.

    Tells functions apart: 72 random candidates score .11 (10th percentile) to .942, Kendall tau
    between two seeds .81. Rungs: 100 of the 400 steps have tau .65 with the full score, 200 have
    .90, and both keep the best tenth in their best third (benchmarks/results/rungs-mnist1d.md).
    A schedule of its own tells little more at 100 steps (.67), which would then be trained twice.
    """

    steps = 400
    learning_rate = 3e-2
    rungs: tuple[Rung, ...] = (Rung(100), Rung(200))

    def load(self) -> Splits:
        """inputs (N, 1, 40) float32, targets (N,) int64; N is 4000, 2000 and 4000."""
        return _load_signals(shape=(1, 40))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(
            nn.Conv1d(1, activation.width(25), 5, stride=2, padding=1),
            activation(25),
            nn.Conv1d(25, activation.width(25), 3, stride=2, padding=1),
            activation(25),
            nn.Conv1d(25, activation.width(25), 3, stride=2, padding=1),
            activation(25),
            nn.Flatten(),
            nn.Linear(125, 10),
        )


class Mnist1dMlp(Task):
    """MNIST-1D with a multilayer perceptron, 40-100-100-10.

    Compresses the differences: 24 of 36 random candidates score .60 to .68 (ReLU .667, GELU
    .686). No rungs: a full training takes 0.2 s.
    """

    learning_rate = 2e-2

    def load(self) -> Splits:
        """inputs (N, 40) float32, targets (N,) int64; N is 4000, 2000 and 4000."""
        return _load_signals(shape=(40,))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(
            nn.Linear(40, activation.width(100)),
            activation(100),
            nn.Linear(100, activation.width(100)),
            activation(100),
            nn.Linear(100, 10),
        )


def _load_signals(shape: tuple[int, ...]) -> Splits:
    arrays = cached_arrays(f"mnist1d-{metadata.version('mnist1d')}-10000", _generate)
    inputs = torch.from_numpy(arrays["inputs"]).reshape(-1, *shape)
    targets = torch.from_numpy(arrays["targets"])
    sizes = [_TRAIN, _VALIDATION, _FINAL]
    return Splits(*map(Split, inputs.split(sizes), targets.split(sizes)))


def _generate() -> Arrays:
    """All 10,000 signals (N, 40) float32 with their labels (N,) int64, shuffled; about 1.5 s."""
    # Imported late: the package pulls in matplotlib.pyplot, 0.8 s. `get_dataset` would download
    # and unpickle a file.
    from mnist1d.data import get_dataset_args, make_dataset

    settings = get_dataset_args()
    settings.num_samples = _TRAIN + _VALIDATION + _FINAL
    with _global_generators_kept():  # make_dataset reseeds both
        data = make_dataset(settings)
    return {
        "inputs": np.concatenate([data["x"], data["x_test"]]).astype(np.float32),
        "targets": np.concatenate([data["y"], data["y_test"]]).astype(np.int64),
    }


@contextmanager
def _global_generators_kept() -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
