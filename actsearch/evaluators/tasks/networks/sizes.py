"""The sizes of the networks: slim for two cores, wide for finals on them, the paper's for a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from ..task import ActivationFactory
from .inverted_residual import InvertedResidualNet, InvertedStage
from .preactivation_resnet import PreactivationResNet, ResidualStage
from .vision_transformer import VisionTransformer

Networks = Mapping[str, Callable[[ActivationFactory], nn.Module]]
"""Name -> builder, in the order in which a candidate is tried."""


def slim_networks(shape: tuple[int, ...], classes: int, stride: int, patch: int) -> Networks:
    """Networks that train within a second or two on one CPU thread.

    Args:
        shape: of an example, (channels, L) or (channels, H, W).
        stride: of the first convolution.
        patch: positions along each axis that make a token of the transformer.
    """
    return {
        "resnet": partial(
            PreactivationResNet,
            shape=shape,
            classes=classes,
            stages=(ResidualStage(8, 1, 2), ResidualStage(16, 1, 1)),
            stem=16,
            stem_stride=stride,
            expansion=2,
        ),
        "mobilenet": partial(
            InvertedResidualNet,
            shape=shape,
            classes=classes,
            stages=(InvertedStage(1, 16, 1, 2), InvertedStage(3, 16, 1, 1)),
            stem=16,
            last=64,
            stem_stride=stride,
        ),
        "efficientnet": partial(
            InvertedResidualNet,
            shape=shape,
            classes=classes,
            stages=(InvertedStage(1, 16, 1, 2), InvertedStage(3, 16, 1, 1, kernel=5)),
            stem=16,
            last=64,
            stem_stride=stride,
            squeeze=0.25,
        ),
        "transformer": partial(
            VisionTransformer,
            shape=shape,
            classes=classes,
            patch=patch,
            channels=32,
            hidden=64,
            blocks=2,
            heads=2,
        ),
    }


def wide_networks(shape: tuple[int, ...], classes: int, stride: int, patch: int) -> Networks:
    """Wider and about twice as deep as the slim networks, for finals on two cores.

    Args:
        as of `slim_networks`.
    """
    return {
        "resnet": partial(
            PreactivationResNet,
            shape=shape,
            classes=classes,
            stages=(ResidualStage(16, 2, 2), ResidualStage(32, 2, 1)),
            stem=32,
            stem_stride=stride,
            expansion=2,
        ),
        "mobilenet": partial(
            InvertedResidualNet,
            shape=shape,
            classes=classes,
            stages=(
                InvertedStage(1, 24, 1, 2),
                InvertedStage(4, 24, 2, 1),
                InvertedStage(4, 32, 2, 2),
            ),
            stem=32,
            last=128,
            stem_stride=stride,
        ),
        "efficientnet": partial(
            InvertedResidualNet,
            shape=shape,
            classes=classes,
            stages=(
                InvertedStage(1, 24, 1, 2),
                InvertedStage(4, 24, 2, 1, kernel=5),
                InvertedStage(4, 32, 2, 2),
            ),
            stem=32,
            last=128,
            stem_stride=stride,
            squeeze=0.25,
        ),
        "transformer": partial(
            VisionTransformer,
            shape=shape,
            classes=classes,
            patch=patch,
            channels=48,
            hidden=96,
            blocks=4,
            heads=4,
        ),
    }


def paper_networks(shape: tuple[int, ...], classes: int) -> Networks:
    """The networks of the search of EvoNorm (arXiv:2004.02967), and a small transformer.

    ResNet-50 at a quarter of its channels, MobileNetV2 and EfficientNet-B0 at half of theirs, all
    of full depth, the first two strides of each set to 1 for small images.
    """
    return {
        "resnet": partial(
            PreactivationResNet,
            shape=shape,
            classes=classes,
            stages=(
                ResidualStage(16, 3, 1),
                ResidualStage(32, 4, 2),
                ResidualStage(64, 6, 2),
                ResidualStage(128, 3, 2),
            ),
            stem=16,
        ),
        "mobilenet": partial(
            InvertedResidualNet,
            shape=shape,
            classes=classes,
            stages=(
                InvertedStage(1, 8, 1, 1),
                InvertedStage(6, 12, 2, 1),
                InvertedStage(6, 16, 3, 2),
                InvertedStage(6, 32, 4, 2),
                InvertedStage(6, 48, 3, 1),
                InvertedStage(6, 80, 3, 2),
                InvertedStage(6, 160, 1, 1),
            ),
            stem=16,
            last=640,
        ),
        "efficientnet": partial(
            InvertedResidualNet,
            shape=shape,
            classes=classes,
            stages=(
                InvertedStage(1, 8, 1, 1),
                InvertedStage(6, 12, 2, 1),
                InvertedStage(6, 20, 2, 2, kernel=5),
                InvertedStage(6, 40, 3, 2),
                InvertedStage(6, 56, 3, 1, kernel=5),
                InvertedStage(6, 96, 4, 2, kernel=5),
                InvertedStage(6, 160, 1, 1),
            ),
            stem=16,
            last=640,
            squeeze=0.25,
        ),
        "transformer": partial(
            VisionTransformer,
            shape=shape,
            classes=classes,
            patch=4,
            channels=128,
            hidden=256,
            blocks=6,
            heads=4,
        ),
    }
