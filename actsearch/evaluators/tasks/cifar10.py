"""CIFAR-10 with a pre-activation ResNet-20: the task for a GPU.

Sources: Krizhevsky 2009 (the data); He et al. 2016, arXiv:1512.03385 section 4.2 (widths, depth,
shortcuts, augmentation) and arXiv:1603.05027 (the order within a block).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from .cifar10_files import Batch, read_cifar10
from .images import channel_statistics, standardise
from .splits import Split, Splits, hold_out
from .task import ActivationFactory, Task

_PADDING = 4


class Cifar10(Task):
    """CIFAR-10 with a pre-activation ResNet-20; SGD, cosine schedule, random crop and flip.

    No rungs: none was measured here.

    Args:
        data: folder of the "python version" or the "binary version", or the folder above it.
    """

    steps = 10_000
    batch_size = 128
    learning_rate = 0.1

    def __init__(self, data: Path) -> None:
        self.data = Path(data)

    def load(self) -> Splits:
        """inputs (N, 3, 32, 32) float32, targets (N,) int64; N is 45000, 5000 and 10000.

        The final split is the official test batch; validation is held out of the training
        images (a tenth of them, where there are fewer than 50,000). Each channel is
        standardised by the mean and deviation of the training split.

        Raises:
            TaskError: a file is missing or damaged.
        """
        (images, labels), test = read_cifar10(self.data)
        train, validation = hold_out(len(images))
        mean, deviation = channel_statistics(images[train])

        def split(batch: Batch) -> Split:
            return Split(standardise(batch[0], mean, deviation), torch.from_numpy(batch[1]))

        return Splits(
            train=split((images[train], labels[train])),
            validation=split((images[validation], labels[validation])),
            final=split(test),
        )

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return PreActivationResNet(activation)

    def optimizer(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """SGD, momentum .9, weight decay 1e-4 on every parameter, the candidate's included."""
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, weight_decay=1e-4)

    def schedule(
        self, optimizer: torch.optim.Optimizer, learning_rate: float, steps: int
    ) -> LRScheduler:
        """Cosine from `learning_rate` to 0."""
        return CosineAnnealingLR(optimizer, T_max=steps)

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Each image shifted by up to 4 pixels, mean colour flowing in, and flipped or not."""
        count, size = len(inputs), inputs.shape[-1]

        def draw(options: int) -> Tensor:
            numbers = torch.randint(options, (count,), generator=generator, device=generator.device)
            return numbers.to(inputs.device)

        down, right, flip = draw(2 * _PADDING + 1), draw(2 * _PADDING + 1), draw(2)
        windows = functional.pad(inputs, [_PADDING] * 4).unfold(2, size, 1).unfold(3, size, 1)
        cropped = windows[torch.arange(count, device=inputs.device), :, down, right]
        return torch.where(flip.bool()[:, None, None, None], cropped.flip(-1), cropped)


class PreActivationResNet(nn.Module):
    """ResNet-20, 3 x 3 blocks of 16, 32 and 64 channels: 20 weighted layers, 0.27 M parameters.

    Shortcuts have no parameters ("option A"): every second pixel, new channels zero. Before a
    gated activation all these widths are double, and u and v get their new channels each.
    """

    def __init__(self, activation: ActivationFactory) -> None:
        super().__init__()
        widths = [16, *[16] * 3, *[32] * 3, *[64] * 3]
        self.stem = _convolution(3, activation.width(widths[0]), stride=1)
        self.blocks = nn.Sequential(
            *(_Block(before, after, activation) for before, after in itertools.pairwise(widths))
        )
        self.norm = nn.BatchNorm2d(activation.width(widths[-1]))
        self.activation = activation(widths[-1])
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, 32, 32)."""
        features = self.activation(self.norm(self.blocks(self.stem(images))))
        return self.head(features.mean(dim=(2, 3)))


class _Block(nn.Module):
    """Two convolutions, each after normalisation and activation, beside a shortcut."""

    def __init__(self, before: int, after: int, activation: ActivationFactory) -> None:
        super().__init__()
        self.stride = 1 if before == after else 2
        self.before, self.new_channels = before, after - before
        self.residual = nn.Sequential(
            nn.BatchNorm2d(activation.width(before)),
            activation(before),
            _convolution(before, activation.width(after), self.stride),
            nn.BatchNorm2d(activation.width(after)),
            activation(after),
            _convolution(after, activation.width(after), stride=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        kept = features[:, :, :: self.stride, :: self.stride]
        inputs = kept.unflatten(1, (-1, self.before))
        shortcut = functional.pad(inputs, (0, 0, 0, 0, 0, self.new_channels)).flatten(1, 2)
        return shortcut + self.residual(features)


def _convolution(before: int, after: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
