"""The gain of a candidate, whether it is a function of one number or a layer."""

from __future__ import annotations

import math
from functools import cache, lru_cache

import torch
from torch import Tensor

from ..expr import Expr, inputs
from ..layer_words import layer_words, needs_square
from ..lowering.layer import Layer
from .gaussian import gaussian_moments

_SHAPE = (64, 64, 16)
"""Examples, channels, positions: 65,536 entries, so that sampling costs 1 % of a gain."""
_SQUARE = (256, 16, 16)


@lru_cache(maxsize=256)
def initial_gain(expr: Expr, groups: int) -> float:
    """1 / sqrt(E f^2) under standard normal inputs, trainable parameters at their start.

    Exact, as `gaussian_moments`, for a function of one number. A layer is measured in training
    mode on one fixed tensor, in float64, with draws from a fixed state of the global generator,
    which is left as it was.

    Args:
        groups: most groups of a group moment.

    Returns:
        inf where E f^2 is 0 or not a number; 1 if the formula reads no input.
    """
    if not inputs(expr):
        return 1.0
    if not layer_words(expr):
        return gaussian_moments(expr).gain
    shape = _SQUARE if needs_square(expr) else _SHAPE
    layer = Layer(expr, shape[1], groups=groups).double()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        # Another than that of the tensor, or the noise would be the tensor itself.
        torch.manual_seed(1)
        second = float(layer(_normal(shape)).square().mean())
    return 1 / math.sqrt(second) if second > 0 else math.inf


@cache
def _normal(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
