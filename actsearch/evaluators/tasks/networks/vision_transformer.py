"""A small transformer on patches of an image or signal.

Source: Dosovitskiy et al. 2021, arXiv:2010.11929, with the mean over tokens in place of a class
token.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..task import ActivationFactory
from .layers import patches

_POSITION_DEVIATION = 0.02


class VisionTransformer(nn.Module):
    """Patches to tokens (N, T, C), plus learned positions; encoder blocks; the mean; a head.

    The candidate stands in the middle of each block's multilayer perceptron: linear, normalisation,
    activation, linear. The perceptron's normalisation is moved there from its front, so that one
    that normalises and activates has both to replace. Attention and the head keep their LayerNorm:
    no activation follows it, and attention without it is another network.

    Args:
        shape: of an example, (channels, L) or (channels, H, W).
        patch: positions along each axis that make one token.
        channels: of a token; a multiple of `heads`.
        hidden: channels where the candidate stands.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        shape: tuple[int, ...],
        classes: int,
        patch: int,
        channels: int,
        hidden: int,
        blocks: int,
        heads: int,
    ) -> None:
        super().__init__()
        grid = [size // patch for size in shape[1:]]
        self.stem = patches(len(grid), shape[0], channels, patch)
        self.positions = nn.Parameter(_POSITION_DEVIATION * torch.randn(1, channels, *grid))
        self.blocks = nn.Sequential(
            *(_Block(activation, channels, hidden, heads) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, classes)
        self.unactivated = (self.head,)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, classes) of (N, *shape); positions are interpolated for other sizes."""
        embedded = self.stem(inputs)
        positions: Tensor = self.positions
        if positions.shape[2:] != embedded.shape[2:]:
            mode = "linear" if embedded.ndim == 3 else "bilinear"
            positions = functional.interpolate(positions, embedded.shape[2:], mode=mode)
        tokens = (embedded + positions).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


class _Block(nn.Module):
    """Attention, then a multilayer perceptron, each added to its input."""

    def __init__(
        self, activation: ActivationFactory, channels: int, hidden: int, heads: int
    ) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(channels), _Attention(channels, heads))
        first = nn.Linear(channels, activation.width(hidden))
        norm = nn.LayerNorm(activation.width(hidden))
        self.perceptron = nn.Sequential(
            first, activation.normalised(norm, hidden, dim=-1), nn.Linear(hidden, channels)
        )
        self.unactivated = (first,)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens)
        return tokens + self.perceptron(tokens)


class _Attention(nn.Module):
    """Self-attention of several heads, (N, T, C) -> (N, T, C); Vaswani et al., arXiv:1706.03762."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.read = nn.Linear(channels, 3 * channels)
        self.write = nn.Linear(channels, channels)
        self.unactivated = (self.read, self.write)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.read(tokens).chunk(3, dim=-1)
        )
        # Written out: the fused operator has no second derivative on the CPU.
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        return self.write((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
