"""A photograph as a function of the place in it, learned from half of its pixels.

After Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions
(SIREN), arXiv:2006.09661.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks.coordinates import CoordinateNetworks
from .splits import Split, Splits
from .task import ActivationFactory, Task

_SIDE, _BLOCK = 64, 6
_TOP, _LEFT = 21, 64
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
_WIDTH, _SEED = 64, 0
_FREQUENCY = 30.0
_LEAST_ERROR, _RANGE = 1e-12, 2.0


class Image(Task):
    """scikit-learn's photo china.jpg, 64 x 64 in grey, by a network 2-64-64-1.

    Half of the pixels are trained on, a quarter each is for validation and final, at random
    places. With sin(x) this is SIREN with omega_0 = 30: its factors of 30 stand inside the weights
    here, so that a rate of 3e-3 is one of 1e-4 there, and the root of 2 in the second layer's
    weights is the factor of the features. Unlike there, that layer's biases start at 0. No rungs:
    none was measured. Figures: docs/tasks.md.
    """

    steps = 400
    batch_size = 512
    learning_rate = 3e-2

    def load(self) -> Splits:
        """inputs (N, 2) float32, row and column in (-1, 1); targets (N, 1) float32 in [-1, 1].

        N is 2048, 1024 and 1024. Decoding needs Pillow, which matplotlib brings.
        """
        places = _grid(_SIDE)
        values = torch.from_numpy(photograph().reshape(-1, 1)).float()
        pixels = len(places)
        order = torch.from_numpy(np.random.RandomState(_SEED).permutation(pixels))
        parts = order.split([pixels // 2, pixels // 4, pixels // 4])
        return Splits(*(Split(places[part], values[part]) for part in parts))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return _Model(activation)

    def initialise(self, model: nn.Module, gain: float) -> None:
        """As of `CoordinateNetworks`, the same for all functions."""
        assert isinstance(model, _Model)
        model.networks.initialise(gain, _FREQUENCY, _grid(_SIDE // 2)[:, None])

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return functional.mse_loss(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Peak signal-to-noise ratio in dB, 0 to 126; NaN if an output is not finite.

        0 where the error is as large as the range of the values, or larger.
        """
        if not torch.isfinite(outputs).all():
            return math.nan
        error = float((outputs.double() - targets.double()).square().mean())
        return 10 * math.log10(_RANGE**2 / min(max(error, _LEAST_ERROR), _RANGE**2))

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """`trained`: the score on the pixels that were trained on."""
        train, device = self.load().train, split.inputs.device
        return {"trained": self.score(model(train.inputs.to(device)), train.targets.to(device))}


def photograph() -> np.ndarray:
    """(64, 64) float64 in [-1, 1]: a square of the photo, each value the mean of 6 x 6 pixels."""
    from sklearn.datasets import load_sample_image

    grey = load_sample_image("china.jpg").astype(np.float64) @ _LUMA
    size = _SIDE * _BLOCK
    cut = grey[_TOP : _TOP + size, _LEFT : _LEFT + size]
    means = cut.reshape(_SIDE, _BLOCK, _SIDE, _BLOCK).mean(axis=(1, 3))
    return np.asarray(means / 127.5 - 1)


def _grid(side: int) -> Tensor:
    """(side^2, 2): row by row, the middles of equal squares in [-1, 1]^2."""
    middles = (2 * torch.arange(side) + 1) / side - 1
    return torch.cartesian_prod(middles, middles)


class _Model(nn.Module):
    """(N, 2) to (N, 1)."""

    def __init__(self, activation: ActivationFactory) -> None:
        super().__init__()
        self.networks = CoordinateNetworks(1, 2, (_WIDTH, _WIDTH), activation)

    def forward(self, places: Tensor) -> Tensor:
        return self.networks(places[:, None])
