"""Squeeze-and-excitation: a gate for each channel, computed from the means of all.

Source: Hu et al. 2018, arXiv:1709.01507; in EfficientNet, Tan and Le 2019, arXiv:1905.11946.
"""

from __future__ import annotations

from torch import Tensor, nn

from .layers import pooled


class SqueezeExcitation(nn.Module):
    """x times sigmoid(W2 relu(W1 mean(x))), the same at each position.

    Its inner activation stays ReLU: at a single position there is nothing for a candidate that
    normalises to take moments over, and nothing was normalised there before.

    Args:
        channels: of the input and output.
        squeezed: of the layer between.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, squeezed)
        self.expand = nn.Linear(squeezed, channels)
        self.unactivated = (self.expand,)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, ...) -> the same shape."""
        gates = self.expand(self.reduce(pooled(features)).relu()).sigmoid()
        return features * gates.reshape(*gates.shape, *[1] * (features.ndim - 2))
