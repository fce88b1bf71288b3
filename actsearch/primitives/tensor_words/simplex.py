"""Thresholds of projections on the simplex, by sorting."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SparsemaxThreshold(nn.Module):
    """t with sum max(x - t, 0) = 1 over all channels at one position.

    Martins and Astudillo 2016, arXiv:1602.02068, algorithm 1.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        token = x.movedim(self.dim, -1)
        largest = token.detach().amax(-1, keepdim=True)
        shifted = token - largest
        with torch.no_grad():
            # What is 1 below the largest is at 0, and its size would cost digits of the sums. The
            # count is 0 where something is not a number, and so is the threshold then.
            ordered = shifted.clamp(min=-2).sort(-1, descending=True).values
            count = torch.arange(1, ordered.shape[-1] + 1, device=x.device)
            inside = 1 + count * ordered > ordered.cumsum(-1)
            held = shifted >= ordered.gather(-1, (inside.sum(-1, keepdim=True) - 1).clamp(min=0))
        total = shifted.where(held, 0).sum(-1, keepdim=True)
        threshold = (total - 1) / held.sum(-1, keepdim=True)
        return (threshold + largest).movedim(-1, self.dim)


class EntmaxThreshold(nn.Module):
    """t with sum max(x - t, 0)^2 = 1 over all channels at one position.

    Peters, Niculae and Martins 2019, arXiv:1905.05702, algorithm 2.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        token = x.movedim(self.dim, -1)
        largest = token.detach().amax(-1, keepdim=True)
        shifted = token - largest
        with torch.no_grad():
            ordered = shifted.clamp(min=-2).sort(-1, descending=True).values
            count = torch.arange(1, ordered.shape[-1] + 1, device=x.device)
            mean = ordered.cumsum(-1) / count
            spread = count * (ordered.square().cumsum(-1) / count - mean.square())
            root = ((1 - spread) / count).clamp(min=0).sqrt()
            inside = (mean - root <= ordered) & (spread < 1)
            held = shifted >= ordered.gather(-1, (inside.sum(-1, keepdim=True) - 1).clamp(min=0))
        count = held.sum(-1, keepdim=True)
        mean = shifted.where(held, 0).sum(-1, keepdim=True) / count
        spread = (shifted - mean).where(held, 0).square().sum(-1, keepdim=True)
        threshold = mean - ((1 - spread) / count).sqrt()
        return (threshold + largest).movedim(-1, self.dim)
