"""Sums of sines and a line, learned on an interval and scored on both sides of it.

After Ziyin, Hartwig and Ueda 2020, Neural Networks Fail to Learn Periodic Functions and How to Fix
It, arXiv:2006.08195.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks.coordinates import CoordinateNetworks
from .splits import Split, Splits
from .task import ActivationFactory, Task

_COUNT, _POINTS, _WIDTH, _SEED = 6, 100, 64, 0
_FREQUENCY = 5.0
_Stretches = tuple[tuple[float, float], ...]
TRAIN: _Stretches = ((-1.0, 1.0),)
VALIDATION: _Stretches = ((-2.0, -1.5), (1.0, 1.5))
FINAL: _Stretches = ((-1.5, -1.0), (1.5, 2.0))


@dataclass(frozen=True)
class Waves:
    """Several functions of time, each two sines, together of mean square 1, and a line.

    Args:
        amplitude: (count, 2), the squares of a function sum to 2.
        frequency: (count, 2), radians in a time of 1.
        phase: (count, 2), radians.
        slope: (count,), of the line, which passes through 0.
    """

    amplitude: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray
    slope: np.ndarray

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """(N,) to (N, count)."""
        angle = self.frequency * times[:, None, None] + self.phase
        return (self.amplitude * np.sin(angle)).sum(-1) + self.slope * times[:, None]


def draw_waves() -> Waves:
    """The six functions of the task: 1.3 to 2.2 periods of one sine in training, 2.5 to 3.8 of
    the other.
    """
    random = np.random.RandomState(_SEED)
    share = random.uniform(0.2, 0.8, _COUNT)
    slow, fast = random.uniform(4, 7, _COUNT), random.uniform(8, 12, _COUNT)
    return Waves(
        amplitude=np.sqrt(2 * np.stack([share, 1 - share], axis=1)),
        frequency=np.stack([slow, fast], axis=1),
        phase=random.uniform(0, 2 * math.pi, (_COUNT, 2)),
        slope=random.uniform(-1, 1, _COUNT),
    )


class Periodic(Task):
    """Six periodic functions with a trend, by six networks of one hidden layer of 64.

    Trained on 100 times in [-1, 1], all at each step. Validation is in [-2, -1.5] and [1, 1.5],
    final in [-1.5, -1] and [1.5, 2]: each has one stretch next to what was seen and one farther
    off. No rungs: none was measured. Figures: docs/tasks.md.
    """

    steps = 600
    batch_size = _POINTS
    learning_rate = 0.1

    def load(self) -> Splits:
        """inputs (100, 1) float32, times; targets (100, 6) float32."""
        return Splits(_split(TRAIN), _split(VALIDATION), _split(FINAL))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return _Model(activation)

    def initialise(self, model: nn.Module, gain: float) -> None:
        """As of `CoordinateNetworks`; sines of the first layer have up to 1.6 periods."""
        assert isinstance(model, _Model)
        times = torch.linspace(-1, 1, _POINTS)
        model.networks.initialise(gain, _FREQUENCY, _for_each(times[:, None]))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return functional.mse_loss(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Mean over the functions of 1 / (1 + e), e the mean squared error.

        From 0 to 1, where 1 is exact, and 1/2 an error as large as the sines, which the bare line
        has. An R^2 would do as well where it is above 0, but the mean of some would be that of the
        worst. NaN if an output is not finite.
        """
        if not torch.isfinite(outputs).all():
            return math.nan
        error = (outputs.double() - targets.double()).square().mean(dim=0)
        return float((1 / (1 + error)).mean())

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """`inside`: the score within [-1, 1], at times halfway between those of training."""
        times = np.linspace(*TRAIN[0], _POINTS + 1)[1:-1]
        device = split.inputs.device
        inside = _at(times)
        return {"inside": self.score(model(inside.inputs.to(device)), inside.targets.to(device))}


def _split(stretches: _Stretches) -> Split:
    """Times in the middle of equal parts of the stretches."""
    count = _POINTS // len(stretches)
    middles = (np.arange(count) + 0.5) / count
    return _at(np.concatenate([low + (high - low) * middles for low, high in stretches]))


def _at(times: np.ndarray) -> Split:
    inputs = torch.from_numpy(times[:, None]).float()
    return Split(inputs, torch.from_numpy(draw_waves()(times)).float())


def _for_each(times: Tensor) -> Tensor:
    """(N, 1) to (N, 6, 1)."""
    return times[:, None].expand(-1, _COUNT, -1)


class _Model(nn.Module):
    """(N, 1) to (N, 6)."""

    def __init__(self, activation: ActivationFactory) -> None:
        super().__init__()
        self.networks = CoordinateNetworks(_COUNT, 1, (_WIDTH,), activation)

    def forward(self, times: Tensor) -> Tensor:
        return self.networks(_for_each(times))
