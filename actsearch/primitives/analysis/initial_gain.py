"""The gain of a candidate, whether it is a function of one number or a layer."""

from __future__ import annotations

import math
from functools import cache, lru_cache

import torch
from torch import Tensor

from ..expr import Expr, inputs
from ..lowering.layer import Layer
from ..moments import moments
from .gaussian import gaussian_moments

_SHAPE = (64, 64, 16)
"""Examples, channels, positions: 65,536 entries, so that sampling costs 1 % of a gain."""


@lru_cache(maxsize=256)
def initial_gain(expr: Expr, groups: int) -> float:
    """1 / sqrt(E f^2) under standard normal inputs, trainable parameters at their start.

    Exact, as `gaussian_moments`, for a formula without moments. A layer is measured in training
    mode on one fixed tensor, in float64.

    Args:
        groups: most groups of a group moment.

    Returns:
        inf where E f^2 is 0 or not a number; 1 if the formula reads no input.
    """
    if not inputs(expr):
        return 1.0
    if not moments(expr):
        return gaussian_moments(expr).gain
    layer = Layer(expr, _SHAPE[1], groups=groups).double()
    with torch.no_grad():
        second = float(layer(_normal()).square().mean())
    return 1 / math.sqrt(second) if second > 0 else math.inf


@cache
def _normal() -> Tensor:
    return torch.randn(_SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
