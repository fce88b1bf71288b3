"""Networks of inverted residual blocks: MobileNetV2, and EfficientNet with squeeze-excitation.

Sources: Sandler et al. 2018, arXiv:1801.04381; Tan and Le 2019, arXiv:1905.11946.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..task import ActivationFactory
from .layers import batch_norm, convolution, pooled, start_at_zero
from .squeeze_excitation import SqueezeExcitation


@dataclass(frozen=True)
class InvertedStage:
    """Blocks of one width.

    Args:
        expansion: channels of the depthwise convolution as a multiple of those that come in; at
            1 there is no layer that expands.
        channels: that go out.
        blocks: how many.
        stride: of the first block.
        kernel: of the depthwise convolution.
    """

    expansion: int
    channels: int
    blocks: int
    stride: int
    kernel: int = 3


class InvertedResidualNet(nn.Module):
    """Stem, stages of inverted residual blocks, a layer of kernel 1, the mean over positions, head.

    The candidate stands after the stem, after each block's expansion and depthwise convolution, and
    after the last layer of kernel 1.

    Args:
        shape: of an example, (channels, L) or (channels, H, W).
        stem: channels of the first layer.
        last: channels of the layer before the mean.
        stem_stride: of the first layer.
        squeeze: channels inside squeeze-excitation as a multiple of those that come into the
            block; 0 for none.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        shape: tuple[int, ...],
        classes: int,
        stages: tuple[InvertedStage, ...],
        stem: int,
        last: int,
        stem_stride: int = 1,
        squeeze: float = 0.0,
    ) -> None:
        super().__init__()
        rank = len(shape) - 1
        self.stem = nn.Sequential(
            convolution(rank, shape[0], activation.width(stem), 3, stem_stride),
            activation.normalised(batch_norm(rank, activation.width(stem)), stem),
        )
        blocks: list[nn.Module] = []
        before = stem
        for stage in stages:
            for number in range(stage.blocks):
                stride = 1 if number else stage.stride
                blocks.append(_Block(activation, rank, before, stage, stride, squeeze))
                before = stage.channels
        self.blocks = nn.Sequential(*blocks)
        widened = convolution(rank, before, activation.width(last), 1)
        self.last = nn.Sequential(
            widened, activation.normalised(batch_norm(rank, activation.width(last)), last)
        )
        self.head = nn.Linear(last, classes)
        self.unactivated = (widened,)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, classes) of (N, *shape)."""
        return self.head(pooled(self.last(self.blocks(self.stem(inputs)))))


class _Block(nn.Module):
    """Expand, convolve each channel, squeeze, project; beside the input where the shape is kept.

    The normalisation after the projection has no activation. Where it ends a residual branch its
    scale starts at zero, as in the authors' code of EvoNorm (arXiv:2004.02967), so that the block
    starts as the identity.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        rank: int,
        before: int,
        stage: InvertedStage,
        stride: int,
        squeeze: float,
    ) -> None:
        super().__init__()
        hidden = stage.expansion * before

        def activated() -> nn.Module:
            return activation.normalised(batch_norm(rank, activation.width(hidden)), hidden)

        layers: list[nn.Module] = []
        self.unactivated: tuple[nn.Module, ...] = ()
        if stage.expansion > 1:
            expand = convolution(rank, before, activation.width(hidden), 1)
            layers += [expand, activated()]
            self.unactivated = (expand,)
        layers += [_Depthwise(activation, rank, hidden, stage.kernel, stride), activated()]
        if squeeze:
            layers.append(SqueezeExcitation(hidden, max(1, round(squeeze * before))))
        norm = activation.norm(batch_norm(rank, stage.channels), stage.channels)
        layers += [convolution(rank, hidden, stage.channels, 1), norm]
        self.branch = nn.Sequential(*layers)
        self.residual = before == stage.channels and stride == 1
        if self.residual:
            start_at_zero(norm)

    def forward(self, features: Tensor) -> Tensor:
        branch = self.branch(features)
        return features + branch if self.residual else branch


class _Depthwise(nn.Module):
    """A convolution of each channel alone; before a gated activation two, for u and for v."""

    def __init__(
        self, activation: ActivationFactory, rank: int, channels: int, kernel: int, stride: int
    ) -> None:
        super().__init__()
        self.copies = activation.inputs
        width = activation.width(channels)
        self.convolution = convolution(rank, width, width, kernel, stride, groups=width)

    def forward(self, features: Tensor) -> Tensor:
        copied = features if self.copies == 1 else torch.cat([features] * self.copies, dim=1)
        return self.convolution(copied)
