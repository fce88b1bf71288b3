"""Layers of these networks for one or two axes of positions."""

from __future__ import annotations

from torch import Tensor, nn

from ..task import Affine

_CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
_BATCH_NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


def convolution(
    rank: int, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """A convolution of odd kernel without bias; positions are divided by `stride`, rounded up.

    Args:
        rank: axes of positions, 1 or 2.
    """
    return _CONVOLUTIONS[rank](
        before, after, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )


def patches(rank: int, before: int, after: int, size: int) -> nn.Module:
    """A linear map of each patch of `size` positions along every axis; what is left over is cut."""
    return _CONVOLUTIONS[rank](before, after, size, stride=size)


def batch_norm(rank: int, channels: int) -> nn.Module:
    """Batch normalisation of (N, channels, ...) with `rank` axes of positions."""
    return _BATCH_NORMS[rank](channels)


def start_at_zero(norm: nn.Module) -> None:
    """Set the scale of a batch normalisation, or of the affine map in its place, to zero."""
    scale = norm.gamma if isinstance(norm, Affine) else norm.get_parameter("weight")
    nn.init.zeros_(scale)


def pooled(features: Tensor) -> Tensor:
    """(N, C, ...) -> (N, C), the mean over positions."""
    return features.flatten(2).mean(dim=2)


def unactivated_weights(model: nn.Module) -> list[nn.Parameter]:
    """Weights of layers, but the first, that do not read what a candidate returns.

    A block of a network names such layers in its attribute `unactivated`.
    """
    return [
        layer.weight for module in model.modules() for layer in getattr(module, "unactivated", ())
    ]
