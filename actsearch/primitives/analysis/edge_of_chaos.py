"""Where a deep network neither forgets nor shatters its input: Poole et al. 2016,
arXiv:1606.05340; Schoenholz et al. 2016, arXiv:1611.01232."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..expr import Expr
from .expectation import expectation, samples
from .pointwise import slope_at_zero, value_and_slope

_LENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_NEAR_ZERO = 1e-4


class CriticalPoint(NamedTuple):
    """Variances of weights, times the number of inputs, and of biases, at which chi_1 = 1."""

    weights: float
    biases: float


def edge_of_chaos(expr: Expr) -> tuple[CriticalPoint, ...] | None:
    """Different critical points for variances of the pre-activations from 0 to 16.

    Args:
        expr: of x, without trainable parameters.

    Returns:
        None if there is none.
    """
    found: list[CriticalPoint] = []
    for length in _LENGTHS:
        point = critical_point(expr, length)
        if point is not None and not any(np.allclose(point, other, 1e-9, 1e-9) for other in found):
            found.append(point)
    return tuple(found) or None


def critical_point(expr: Expr, length: float) -> CriticalPoint | None:
    """The variances s_w, s_b for which q -> s_w E f(sqrt(q) z)^2 + s_b keeps q = `length`, and
    chi_1 = s_w E f'(sqrt(q) z)^2 is 1 there.

    Returns:
        None if the variance of the biases would be negative, or if q is not drawn to `length`: the
        map has a slope above 1 there, so that no depth comes to this point.
    """
    if length == 0:
        return _at_zero(expr)
    at = samples(expr, 0.0, length)
    second = expectation(at, lambda s: s.value**2)
    slope_second = expectation(at, lambda s: s.slope**2)
    if not _is_positive(second) or not _is_positive(slope_second):
        return None
    assert second is not None and slope_second is not None
    weights = 1 / slope_second
    biases = length - weights * second
    if biases < -1e-9 * length or _draw(expr, length) * weights > 1 + 1e-9:
        return None
    return CriticalPoint(weights, 0.0 if biases < 1e-12 * length else biases)


def _at_zero(expr: Expr) -> CriticalPoint | None:
    slope = slope_at_zero(expr)
    value, _ = value_and_slope(expr, np.zeros(1))
    if not slope or abs(float(value[0])) > 1e-15:
        return None
    weights = slope**-2
    return CriticalPoint(weights, 0.0) if _draw(expr, _NEAR_ZERO) * weights <= 1 + 1e-9 else None


def _draw(expr: Expr, length: float) -> float:
    """d/dq E f(sqrt(q) z)^2 at q = `length`."""
    at = samples(expr, 0.0, length)
    slope = expectation(at, lambda s: s.value**2 * (s.z**2 - 1))
    return math.inf if slope is None else slope / (2 * length)


def _is_positive(value: float | None) -> bool:
    return value is not None and 0 < value < math.inf
