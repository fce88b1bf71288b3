"""Expectations over a normal input, with an error and an honest infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..expr import Expr
from .figure import Figure
from .panels import NARROW, NODES, legendre, panels
from .pointwise import Array, value_and_slope

# The density of z is 1e-314 at 38, the last where its root and a value of 1e308 can be multiplied.
_REACH = 38.0
_GRID = np.concatenate([np.arange(-38, -12, 2), np.arange(-12, 13), np.arange(14, 39, 2)])
# A value that is not a number further out has a mass of 1e-32.
_MATTERS = 12.0
FINE_NODES = 24
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Samples:
    """f at the points of a rule for z ~ N(0, 1), x = mean + deviation z; arrays of one length.

    Args:
        z: points.
        weights: of the rule, without the density.
        root: square root of the density of z.
        value: f(x) times `root`, so that products of two of these are f^2 times the density.
        slope: f'(x) times `root`.
        narrow: points of panels at a singularity.
    """

    z: Array
    weights: Array
    root: Array
    value: Array
    slope: Array
    narrow: np.ndarray


Integrand = Callable[[Samples], Array]


def samples(expr: Expr, mean: float = 0.0, variance: float = 1.0, *, nodes: int = NODES) -> Samples:
    """The function under N(mean, variance).

    Args:
        nodes: of each panel.
    """
    deviation = math.sqrt(variance)
    inside = (panels(expr) - mean) / deviation
    edges = np.union1d(_GRID, inside[np.abs(inside) < _REACH])
    places, weights = legendre(nodes)
    widths = np.diff(edges)[:, None]
    z = (edges[:-1, None] + widths * places).ravel()
    x = mean + deviation * z
    root = np.exp(-(z**2) / 4) / (2 * math.pi) ** 0.25
    value, slope = (
        np.where(np.isnan(found) & (np.abs(z) > _MATTERS), 0, found) * root
        for found in value_and_slope(expr, x)
    )
    # Ends that differ by rounding alone make narrow panels too, which hold nothing.
    narrow = np.repeat(widths.ravel() * deviation, nodes) <= 2 * NARROW * np.maximum(1, np.abs(x))
    return Samples(z, (weights * widths).ravel(), root, value, slope, narrow)


def expectation(at: Samples, integrand: Integrand) -> float | None:
    """The integral of a product of two of `value`, `slope`, `root` (and of functions of z).

    Returns:
        infinity where it diverges with one sign; None where it does not exist.
    """
    total, _ = _integral(at, integrand)
    return total


def figure(
    expr: Expr, integrand: Integrand, mean: float = 0.0, variance: float = 1.0
) -> Figure | None:
    """An expectation with its error, from rules of 16 and 24 nodes a panel; None as above."""
    coarse = samples(expr, mean, variance)
    return compare(coarse, samples(expr, mean, variance, nodes=FINE_NODES), integrand)


def compare(coarse: Samples, fine: Samples, integrand: Integrand) -> Figure | None:
    """An expectation by the finer of two rules; its error is the difference, and rounding."""
    rough, _ = _integral(coarse, integrand)
    total, size = _integral(fine, integrand)
    if total is None or rough is None:
        return None
    if math.isinf(total) or math.isinf(rough):
        return Figure(math.copysign(math.inf, total if math.isinf(total) else rough))
    return Figure(total, error=abs(total - rough) + _ROUNDING * size)


def _integral(at: Samples, integrand: Integrand) -> tuple[float | None, float]:
    """The integral, and that of the absolute value."""
    with np.errstate(invalid="ignore", over="ignore"):
        terms = at.weights * integrand(at)
        size = float(np.abs(terms).sum())
    if math.isnan(size):
        return None, size
    if math.isinf(size) or _diverges(at, np.abs(terms), size):
        if (terms >= 0).all():
            return math.inf, math.inf
        return (-math.inf if (terms <= 0).all() else None), math.inf
    return float(terms.sum()), size


def _diverges(at: Samples, sizes: Array, total: float) -> bool:
    """Whether the ends of the range, or the last panels at a singularity, hold a share that they
    cannot have if it is finite: 1/|x| has 0.2 in the latter, 1/sqrt|x| 1e-6."""
    ends = sizes[np.abs(at.z) > _REACH - 2].sum()
    return bool(ends > 1e-9 * total or sizes[at.narrow].sum() > 1e-2 * total)
