"""How linear a function is."""

from __future__ import annotations

import math

from ..expr import Expr
from .expectation import FINE_NODES, compare, samples
from .figure import Figure
from .pointwise import function_of_x


def linearity_of(expr: Expr) -> Figure | None:
    """R^2 of the best affine fit of f(z), z ~ N(0, 1): (E z f)^2 / Var f.

    The linearity score of "Fidelity Isn't Accuracy" for one unit: 1 for an affine function, 0 for
    an even one. By Stein's lemma E z f is E f', the slope of the fit.

    Returns:
        None where f is constant, or has no finite variance.

    Raises:
        ValueError: the expression does not read x alone, or reads a whole tensor.
    """
    expr = function_of_x(expr)
    coarse, fine = samples(expr), samples(expr, nodes=FINE_NODES)
    mean = compare(coarse, fine, lambda s: s.value * s.root)
    slope = compare(coarse, fine, lambda s: s.z * s.value * s.root)
    if mean is None or slope is None or not math.isfinite(mean.value):
        return None
    centre = mean.value
    variance = compare(coarse, fine, lambda s: (s.value - centre * s.root) ** 2)
    # Centring leaves the rounding of the mean, squared, of a constant.
    if variance is None or not math.isfinite(variance.value):
        return None
    if variance.value <= max(variance.error, (1e-15 * centre) ** 2):
        return None
    score = slope.value**2 / variance.value
    error = (2 * abs(slope.value) * slope.error + score * variance.error) / variance.value
    return Figure(min(1.0, score), error=error)
