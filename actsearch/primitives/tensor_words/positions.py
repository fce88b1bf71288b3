"""Words that mix positions, or rows and columns."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Depthwise(nn.Module):
    """A convolution of 3x3 for each channel by itself, zeros around; its weights start at 0.

    One axis of positions is an image of height 1, none an image of one pixel.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.channels, self.dim = channels, dim
        self.weight = nn.Parameter(torch.zeros(channels, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        image = x.movedim(self.dim, 1)
        if image.ndim > 4:
            raise ValueError(f"depthwise takes at most two axes of positions, got {tuple(x.shape)}")
        shape = image.shape
        image = image.reshape(*shape[:2], *(1,) * (4 - image.ndim), *shape[2:])
        found = nn.functional.conv2d(
            image, self.weight.to(x.dtype), padding=1, groups=self.channels
        )
        return found.reshape(shape).movedim(1, self.dim)


class MatrixExp(nn.Module):
    """The exponential of the square matrix of the last two axes."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3 or x.shape[-1] != x.shape[-2]:
            raise ValueError(
                f"matrix_exp takes examples that end in a square matrix, got {tuple(x.shape)}"
            )
        return torch.linalg.matrix_exp(x)
