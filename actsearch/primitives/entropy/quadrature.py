"""Integrals over stretches of the line that may be infinite or end in a singularity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..analysis.figure import Figure

Integrand = Callable[[Tensor], Tensor]


def integral(function: Integrand, ends: Sequence[float], scale: float = 1.0) -> Figure:
    """Integral between the first and the last end, which are in order.

    By the double exponential rule (Takahasi and Mori 1974), between each two neighbours; the error
    is the difference from the rule with half of the points. Where the function is no finite
    number, as where both of two factors underflow, it counts as 0.

    Args:
        function: float64 points to values, of one shape.
        ends: kinks and singularities are among them; the outer two may be infinite.
        scale: of the function's fall at infinity.
    """
    coarse, fine = (
        sum(_stretch(function, low, high, scale, step) for low, high in pairwise(ends))
        for step in (1 / 16, 1 / 32)
    )
    return Figure(fine, error=abs(fine - coarse))


def principal_value(function: Integrand, pole: float, width: float) -> float:
    """Cauchy's principal value over pole - width to pole + width, for a simple pole."""
    nodes, weights = _legendre()
    offset = width * nodes
    folded = function(pole + offset) + function(pole - offset)
    return float(width * (weights @ folded))


def _stretch(function: Integrand, low: float, high: float, scale: float, step: float) -> float:
    if low >= high:
        return 0.0
    t = torch.arange(-_ENDS / step, _ENDS / step + 1, dtype=torch.float64) * step
    inner = math.pi / 2 * torch.sinh(t)
    rate = math.pi / 2 * torch.cosh(t)
    if math.isinf(low) and math.isinf(high):
        return _stretch(function, low, 0.0, scale, step) + _stretch(
            function, 0.0, high, scale, step
        )
    if math.isinf(low) or math.isinf(high):
        offset = scale * torch.exp(inner)
        points = low + offset if math.isinf(high) else high - offset
        weights = offset * rate
    else:
        # The distance from the nearer end, so that it keeps its digits.
        share = torch.sigmoid(-2 * inner.abs())
        distance = (high - low) * share
        points = torch.where(t < 0, low + distance, high - distance)
        weights = (high - low) * 2 * share * torch.sigmoid(2 * inner.abs()) * rate
    values = function(points) * weights
    inside = (points > low) & (points < high)
    return step * float(torch.where(inside, values, 0.0).nan_to_num(0.0, 0.0, 0.0).sum())


_ENDS = 4


@cache
def _legendre() -> tuple[Tensor, Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(48)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
