"""Words of one number for a set of entries: extremes, sums and cutoffs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaxToken(nn.Module):
    """The largest of all channels at one position."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(self.dim, keepdim=True)


class SumToken(nn.Module):
    """The sum of all channels at one position."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(self.dim, keepdim=True)


def between(largest: Tensor, count: int) -> Tensor:
    """Halfway from entry `count` to the next of the last axis, which descends and is kept; 1 below
    the last entry."""
    kept = largest[..., count - 1 : count]
    if count == largest.shape[-1]:
        return kept - 1
    following = largest[..., count : count + 1]
    return following + (kept - following) / 2


class CutoffToken(nn.Module):
    """Between the channels of a position that are kept, the largest share, and the rest."""

    def __init__(self, channels: int, dim: int, share: float) -> None:
        super().__init__()
        self.dim = dim
        self.count = max(1, round(share * channels))

    def forward(self, x: Tensor) -> Tensor:
        token = x.movedim(self.dim, -1)
        largest = token.topk(min(self.count + 1, token.shape[-1])).values
        return between(largest, self.count).movedim(-1, self.dim)


class CutoffBatch(nn.Module):
    """Between the entries of a batch that are kept, the largest share, and the rest.

    In evaluation mode its running mean: of the batches so far, up to ten, and then with weight 0.1
    for a new one.
    """

    running: Tensor
    batches: Tensor

    def __init__(self, channels: int, dim: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("running", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.running.to(x.dtype)
        count = max(1, round(self.share * x.numel()))
        largest = x.flatten().topk(min(count + 1, x.numel())).values
        cutoff = between(largest, count).squeeze()
        with torch.no_grad():
            self.batches += 1
            weight = (1 / self.batches).clamp(min=0.1)
            self.running += weight * (cutoff - self.running)
        return cutoff
