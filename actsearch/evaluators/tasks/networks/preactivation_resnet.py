"""Residual networks whose blocks normalise and activate before they convolve.

Source: He et al. 2016, arXiv:1603.05027; the bottleneck block is that of arXiv:1512.03385.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..task import ActivationFactory
from .layers import batch_norm, convolution, pooled


@dataclass(frozen=True)
class ResidualStage:
    """Blocks of one width.

    Args:
        channels: of the middle convolution; a block returns `expansion` times as many.
        blocks: how many.
        stride: of the first block.
    """

    channels: int
    blocks: int
    stride: int


class PreactivationResNet(nn.Module):
    """A stem, stages of bottleneck blocks, a last normalisation with activation, the mean, a head.

    Three places of the candidate in each block and one at the end. Branches end in a convolution,
    not in a normalisation, so no scale starts at zero: with gamma = 0 before it, ReLU would be dead
    for ever. Before a gated activation the residual stream is twice as wide.

    Args:
        shape: of an example, (channels, L) or (channels, H, W).
        stem: channels of the first layer.
        stem_stride: of the first layer.
        expansion: channels of a block's output as a multiple of its stage's.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        shape: tuple[int, ...],
        classes: int,
        stages: tuple[ResidualStage, ...],
        stem: int,
        stem_stride: int = 1,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        rank = len(shape) - 1
        self.stem = convolution(rank, shape[0], activation.width(stem), 3, stem_stride)
        blocks: list[nn.Module] = []
        before = stem
        for stage in stages:
            after = expansion * stage.channels
            for number in range(stage.blocks):
                stride = 1 if number else stage.stride
                blocks.append(_Block(activation, rank, before, stage.channels, after, stride))
                before = after
        self.blocks = nn.Sequential(*blocks)
        norm = batch_norm(rank, activation.width(before))
        self.activation = activation.normalised(norm, before)
        self.head = nn.Linear(before, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, classes) of (N, *shape)."""
        return self.head(pooled(self.activation(self.blocks(self.stem(inputs)))))


class _Block(nn.Module):
    """Convolutions of 1, 3 and 1, each after normalisation and activation, beside a shortcut.

    The shortcut is the input, or a convolution of the activated input where the shape changes.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        rank: int,
        before: int,
        channels: int,
        after: int,
        stride: int,
    ) -> None:
        super().__init__()

        def activated(channels: int) -> nn.Module:
            norm = batch_norm(rank, activation.width(channels))
            return activation.normalised(norm, channels)

        self.activation = activated(before)
        self.shortcut = (
            None
            if before == after and stride == 1
            else convolution(rank, before, activation.width(after), 1, stride)
        )
        self.residual = nn.Sequential(
            convolution(rank, before, activation.width(channels), 1),
            activated(channels),
            convolution(rank, channels, activation.width(channels), 3, stride),
            activated(channels),
            convolution(rank, channels, activation.width(after), 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        activated = self.activation(features)
        kept = features if self.shortcut is None else self.shortcut(activated)
        return kept + self.residual(activated)
