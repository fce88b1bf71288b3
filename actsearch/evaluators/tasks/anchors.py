"""Tasks on which each candidate is trained in several networks at once.

The idea and the first three families are those of EvoNorm, Liu et al. 2020, arXiv:2004.02967: a
pre-activation ResNet, MobileNetV2 and EfficientNet; a transformer is the fourth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from actsearch.errors import ConfigError

from .cifar10 import Cifar10
from .digits import Digits
from .fashion_mnist import FashionMnist
from .mnist1d import Mnist1d
from .networks import (
    Networks,
    paper_networks,
    slim_networks,
    unactivated_weights,
    wide_networks,
)
from .splits import Split, Splits
from .task import ActivationFactory, Task

_CLASSES = 10
_CROP = 24


class Anchors(Task):
    """Several networks for each candidate; a subclass names them and loads the data.

    Narrow networks have at most 8 groups of channels, as the 32 of the paper at a quarter of its
    channels. A transformer wants a fifth of the learning rate of the others.

    Args:
        anchors: names of the networks to use, in the order of their scores; empty for all.

    Raises:
        ConfigError: an anchor that is not there, or is named twice.
    """

    networks: ClassVar[Networks]

    rate_factors: Mapping[str, float] = MappingProxyType({"transformer": 0.2})
    groups = 8

    def __init__(self, anchors: tuple[str, ...] = ()) -> None:
        names = tuple(self.networks)
        for anchor in anchors:
            if anchor not in names:
                raise ConfigError(f"unknown anchor {anchor!r}; anchors are {', '.join(names)}")
        if len(set(anchors)) < len(anchors):
            raise ConfigError(f"anchors {', '.join(anchors)} repeat one; name each once")
        self.anchors = tuple(anchors) or names

    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        return self.networks[anchor](activation)

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        """The first anchor."""
        return self.build_anchor(self.anchors[0], activation)

    def initialise(self, model: nn.Module, gain: float) -> None:
        """As of `Task`, with gain 1 too for layers that read what no candidate has touched.

        Those are a block's first layer, attention, and layers after a ReLU of the network's own.
        """
        super().initialise(model, gain)
        with torch.no_grad():
            for weight in unactivated_weights(model):
                weight.div_(gain)


class AnchorsMnist1d(Anchors):
    """MNIST-1D with four slim networks; tells layers apart in 1 to 2.5 seconds a network.

    Accuracies of one seed in the order of `anchors`: BN-ReLU .886, .872, .794, .725; EvoNorm-S0
    .846, .803, .808, .743; EvoNorm-B0 .868, .829, .811, .646; ReLU without normalisation .771,
    .852, .757, .699; the identity .31, .30, .31, .43. At half the rate all are worse on the mean,
    at twice the rate none by more than .004 better. No rungs: none was measured.
    """

    networks = slim_networks((1, 40), _CLASSES, stride=2, patch=5)
    steps = 200
    learning_rate = 4e-2

    def load(self) -> Splits:
        """inputs (N, 1, 40) float32, targets (N,) int64; N is 4000, 2000 and 4000."""
        return Mnist1d().load()


class AnchorsMnist1dWide(AnchorsMnist1d):
    """MNIST-1D with four wider and deeper networks, for finals."""

    networks = wide_networks((1, 40), _CLASSES, stride=2, patch=5)
    learning_rate = 3e-2


class AnchorsDigits(Anchors):
    """scikit-learn's digits as images of 8 x 8, with four slim networks; quick but blunt.

    Sixty steps, for at 200 all layers are at .95 to .99. Accuracies of one seed in the order of
    `anchors`: BN-ReLU .975, .944, .964, .792; EvoNorm-S0 .936, .953, .939, .678; the identity .897,
    .897, .856, .647. No rungs.
    """

    networks = slim_networks((1, 8, 8), _CLASSES, stride=1, patch=2)
    steps = 60
    learning_rate = 4e-2

    def load(self) -> Splits:
        """inputs (N, 1, 8, 8) float32, targets (N,) int64; N is 1077, 360 and 360."""
        return _reshaped(Digits().load(), lambda inputs: inputs.unflatten(1, (1, 8, 8)))


class AnchorsDigitsWide(AnchorsDigits):
    """Digits with four wider and deeper networks, for finals."""

    networks = wide_networks((1, 8, 8), _CLASSES, stride=1, patch=2)
    learning_rate = 3e-2


class AnchorsFashionMnist(Anchors):
    """Fashion-MNIST at half its resolution, with four slim networks.

    Accuracies of one seed in the order of `anchors`: BN-ReLU .848, .843, .838, .813; EvoNorm-S0
    .828, .826, .821, .796; the identity .776, .768, .791, .796. No rungs.

    Args:
        data: as of `FashionMnist`.
        anchors: as of `Anchors`.
    """

    networks = slim_networks((1, 14, 14), _CLASSES, stride=2, patch=3)
    steps = 400
    learning_rate = 4e-2

    def __init__(self, data: Path | None = None, anchors: tuple[str, ...] = ()) -> None:
        super().__init__(anchors)
        self.data = data

    def load(self) -> Splits:
        """inputs (N, 1, 14, 14) float32, targets (N,) int64; N is 55000, 5000 and 10000.

        Raises:
            TaskError: a file is missing or damaged.
        """
        return _reshaped(
            FashionMnist(self.data).load(), lambda inputs: functional.avg_pool2d(inputs, 2)
        )


class AnchorsCifar10(Anchors):
    """CIFAR-10 with the networks of EvoNorm's search and a transformer; for a GPU.

    The protocol is the paper's for layers without batch statistics: 5,000 steps of 128 random crops
    of 24 x 24, whole images for the score, SGD with Nesterov's momentum, cosine schedule. The
    learning rate of the transformer is a guess: nothing was measured here.

    Args:
        data: as of `Cifar10`.
        anchors: as of `Anchors`.
    """

    networks = paper_networks((3, 32, 32), _CLASSES)
    steps = 5_000
    batch_size = 128
    learning_rate = 0.1

    def __init__(self, data: Path, anchors: tuple[str, ...] = ()) -> None:
        super().__init__(anchors)
        self.data = data

    def load(self) -> Splits:
        """inputs (N, 3, 32, 32) float32, targets (N,) int64; N is 45000, 5000 and 10000.

        Raises:
            TaskError: a file is missing or damaged.
        """
        return Cifar10(self.data).load()

    def optimizer(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """SGD, Nesterov's momentum .9, weight decay 1e-4 on every parameter."""
        return torch.optim.SGD(
            parameters, lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=1e-4
        )

    def schedule(
        self, optimizer: torch.optim.Optimizer, learning_rate: float, steps: int
    ) -> LRScheduler:
        """Cosine from `learning_rate` to 0."""
        return CosineAnnealingLR(optimizer, T_max=steps)

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A window of 24 x 24 at a random place of each image."""
        count, places = len(inputs), inputs.shape[-1] - _CROP + 1
        down, right = torch.randint(
            places, (2, count), generator=generator, device=generator.device
        ).to(inputs.device)
        windows = inputs.unfold(2, _CROP, 1).unfold(3, _CROP, 1)
        return windows[torch.arange(count, device=inputs.device), :, down, right]


def _reshaped(splits: Splits, changed: Callable[[Tensor], Tensor]) -> Splits:
    def split(part: Split) -> Split:
        return Split(changed(part.inputs), part.targets)

    return Splits(split(splits.train), split(splits.validation), split(splits.final))
