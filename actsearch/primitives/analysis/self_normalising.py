"""The fixed point of mean and variance from layer to layer, Klambauer et al. 2017,
arXiv:1706.02515."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from ..expr import Expr
from .expectation import FINE_NODES as FINE
from .expectation import Samples, compare, expectation, samples
from .figure import Figure

LOWEST, HIGHEST = 0.01, 100.0
_GRID = np.logspace(math.log10(LOWEST), math.log10(HIGHEST), 49)


@dataclass(frozen=True)
class FixedPoint:
    """Mean and variance of activations that the next layer gives again.

    Args:
        mean: of the activations.
        variance: of the activations.
        eigenvalues: of the Jacobian of (mean, variance), in descending order.
        norm: its largest singular value; below 1 every step is a contraction.
        attracting: both eigenvalues are inside (-1, 1).
    """

    mean: Figure
    variance: Figure
    eigenvalues: tuple[float, float]
    norm: float
    attracting: bool


def fixed_point_of(expr: Expr) -> FixedPoint | None:
    """The fixed point of (mean, variance) -> (E f(z), Var f(z)), z ~ N(0, variance).

    That is the map of the paper for weights of a unit that sum to 0 and whose squares sum to 1:
    then the mean of activations does not reach the next layer.

    Args:
        expr: of x, without trainable parameters.

    Returns:
        the attracting fixed point whose variance is nearest to 1, or one that does not attract if
        all are such; None if there is none of a variance from 0.01 to 100.
    """
    found = [_described(expr, variance) for variance in _roots(expr)]
    if not found:
        return None
    return min(found, key=lambda p: (not p.attracting, abs(math.log(p.variance.value))))


def _roots(expr: Expr) -> list[float]:
    def growth(variance: float) -> float:
        after = _variance(samples(expr, 0.0, variance))
        return after / variance - 1 if after is not None else math.inf

    steps = [(float(variance), growth(float(variance))) for variance in _GRID]
    # Rounding: a linear function has a fixed point everywhere, and one that is linear near 0 none
    # there.
    turns = [(variance, step) for variance, step in steps if abs(step) > 1e-12]
    if not turns:
        return [1.0]
    return [
        float(brentq(growth, low, high, xtol=1e-15, rtol=1e-14))
        for (low, first), (high, last) in pairwise(turns)
        if math.isfinite(first) and math.isfinite(last) and first * last < 0
    ]


def _variance(at: Samples) -> float | None:
    mean = expectation(at, lambda s: s.value * s.root)
    if mean is None or math.isinf(mean):
        return None
    found = expectation(at, lambda s: (s.value - mean * s.root) ** 2)
    return None if found is None or math.isinf(found) else found


def _described(expr: Expr, variance: float) -> FixedPoint:
    coarse, fine = samples(expr, 0.0, variance), samples(expr, 0.0, variance, nodes=FINE)
    mean = compare(coarse, fine, lambda s: s.value * s.root)
    assert mean is not None
    centre = mean.value
    after = compare(coarse, fine, lambda s: (s.value - centre * s.root) ** 2)
    assert after is not None
    # d/dv E g(z) = E g(z) (z^2/v - 1)/(2v) needs no slope of g, and so no care at jumps.
    mean_slope = expectation(fine, lambda s: s.value * s.root * (s.z**2 - 1)) or 0.0
    spread = expectation(fine, lambda s: (s.value - centre * s.root) ** 2 * (s.z**2 - 1)) or 0.0
    across, along = mean_slope / (2 * variance), spread / (2 * variance)
    # To first order the fixed point moves by the error over 1 - slope; a linear function has one
    # everywhere.
    error = after.error / (abs(1 - along) if abs(1 - along) > 1e-9 else 1)
    return FixedPoint(
        mean=mean,
        variance=Figure(variance, error=min(error, variance)),
        eigenvalues=(max(along, 0.0), min(along, 0.0)),
        norm=math.hypot(across, along),
        attracting=abs(along) < 1 - 1e-9,
    )
