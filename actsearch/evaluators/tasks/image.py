"""A photograph as a function of the place in it, learned from half of its pixels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .cache import Arrays, cached_arrays
from .networks.coordinates import CoordinateNetworks
from .splits import Split, Splits
from .task import ActivationFactory, Task

SIDE = 64


class Image(Task):
    steps = 400
    batch_size = 512
    learning_rate = 3e-3
    frequency = 30.0
    widths = (64, 64)

    def load(self) -> Splits:
        picture = photograph()
        axis = (2 * np.arange(SIDE) + 1) / SIDE - 1
        rows, columns = np.meshgrid(axis, axis, indexing="ij")
        places = torch.from_numpy(np.stack([rows, columns], -1).reshape(-1, 2)).float()
        values = torch.from_numpy(picture.reshape(-1, 1)).float()
        order = torch.from_numpy(np.random.RandomState(0).permutation(SIDE * SIDE))
        parts = order.split([SIDE * SIDE // 2, SIDE * SIDE // 4, SIDE * SIDE // 4])
        return Splits(*(Split(places[part], values[part]) for part in parts))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return _Model(activation, self.widths)

    def initialise(self, model: nn.Module, gain: float) -> None:
        axis = torch.linspace(-1, 1, 32)
        places = torch.cartesian_prod(axis, axis)[:, None]
        model.networks.initialise(gain, self.frequency, places)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        if not torch.isfinite(outputs).all():
            return math.nan
        error = float((outputs.double() - targets.double()).square().mean())
        return 10 * math.log10(4 / max(error, 1e-12))

    def measures(self, model, split):
        train = self.load().train
        return {"train": self.score(model(train.inputs), train.targets)}


def photograph() -> np.ndarray:
    from sklearn.datasets import load_sample_image
    grey = load_sample_image("china.jpg").astype(np.float64) @ [0.299, 0.587, 0.114]
    top, left = 0, 106
    cut = grey[21:405, 128:512]
    small = cut.reshape(SIDE, 384 // SIDE, SIDE, 384 // SIDE).mean((1, 3))
    return small / 127.5 - 1


class _Model(nn.Module):
    def __init__(self, activation, widths):
        super().__init__()
        self.networks = CoordinateNetworks(1, 2, widths, activation)

    def forward(self, places: Tensor) -> Tensor:
        return self.networks(places[:, None])
