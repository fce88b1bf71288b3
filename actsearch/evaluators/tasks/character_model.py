"""A small decoder-only transformer with the candidate in its feed-forward networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .task import ActivationFactory

_EXPANSION = 4


class FeedForward(nn.Module):
    """(N, T, width) to the same. Its output is the sum of what its neurons give: no last bias.

    Four times as wide inside; a gated candidate has two thirds of that, so that the number of
    weights stays (Shazeer 2020, arXiv:2002.05202).
    """

    def __init__(self, width: int, activation: ActivationFactory) -> None:
        super().__init__()
        hidden = _EXPANSION * width
        if activation.inputs == 2:
            hidden = 2 * hidden // 3
        self.up = nn.Linear(width, activation.width(hidden))
        self.activation = activation(hidden, dim=-1)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


class Attention(nn.Module):
    """Causal self-attention, (N, T, width) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.inward(x).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.outward(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a feed-forward network, each behind a LayerNorm and added to its input."""

    def __init__(self, width: int, heads: int, activation: ActivationFactory) -> None:
        super().__init__()
        self.before_attention, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.before_feed_forward = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x))
        return x + self.feed_forward(self.before_feed_forward(x))


class CharacterModel(nn.Module):
    """(N, T) int64, T <= context, to logits (N, characters, T) of the next ones."""

    def __init__(
        self,
        characters: int,
        context: int,
        width: int,
        heads: int,
        layers: int,
        activation: ActivationFactory,
    ) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, activation) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters)

    def forward(self, text: Tensor) -> Tensor:
        places = torch.arange(text.shape[1], device=text.device)
        x = self.characters(text) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).transpose(1, 2)

    def initialise(self, gain: float) -> None:
        """Weights Normal(0, 1 / sqrt(fan_in)), those after the candidate times the gain.

        What a block adds is divided by sqrt(2 layers); biases and logits start at 0.
        """
        added = 1 / math.sqrt(2 * len(self.blocks))
        for block in self.blocks:
            assert isinstance(block, Block)
            _draw(block.attention.inward, 1.0)
            _draw(block.attention.outward, added)
            _draw(block.feed_forward.up, 1.0)
            _draw(block.feed_forward.down, gain * added)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


def _draw(layer: nn.Linear, gain: float) -> None:
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
