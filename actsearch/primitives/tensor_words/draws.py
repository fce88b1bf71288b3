"""Words that draw a number for each entry in training mode, from torch's global generator.

In evaluation mode they are the mean of the draw.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Uniform(nn.Module):
    """Uniform between two tensors, to both of which it has slopes."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        at = torch.rand(low.shape, dtype=low.dtype, device=low.device) if self.training else 0.5
        return low + (high - low) * at


class Normal(nn.Module):
    """Normal of a mean and a standard deviation, to both of which it has slopes."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()

    def forward(self, mean: Tensor, deviation: Tensor) -> Tensor:
        if not self.training:
            return mean
        return mean + deviation * torch.randn(mean.shape, dtype=mean.dtype, device=mean.device)


class Bernoulli(nn.Module):
    """1 with a probability, else 0; the slope is that of the probability, straight through."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()

    def forward(self, probability: Tensor) -> Tensor:
        if not self.training:
            return probability
        drawn = torch.rand(probability.shape, dtype=probability.dtype, device=probability.device)
        # A probability that is not finite stays so: a training that diverges must be seen.
        return (drawn < probability).to(drawn.dtype) + (probability - probability.detach())
