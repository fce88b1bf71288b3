"""How much of the output and of the gradient is nothing, Lan and Mahmood 2023,
arXiv:2310.01365."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..expr import Expr
from .expectation import Integrand, figure
from .figure import Figure
from .normal_share import share_near_zero
from .pointwise import function_of_x

NEGLIGIBLE = 0.01
"""Of the root mean square: at most that is next to nothing."""


@dataclass(frozen=True)
class Sparsity:
    """Probabilities under z ~ N(0, 1); None where f, or its root mean square, is not finite.

    Args:
        output: that |f(z)| is at most 1 % of sqrt(E f^2).
        slope: that |f'(z)| is at most 1 % of sqrt(E f'^2).
        output_zero: that f(z) is 0 in float64.
        slope_zero: that f'(z) is 0 in float64.
    """

    output: Figure | None
    slope: Figure | None
    output_zero: Figure | None
    slope_zero: Figure | None


def sparsity_of(expr: Expr) -> Sparsity:
    """Sparsity of a function of x, trainable parameters at their start.

    Raises:
        ValueError: the expression does not read x alone, or reads a whole tensor.
    """
    expr = function_of_x(expr)
    output, slope = (
        _threshold(expr, integrand) for integrand in (lambda s: s.value**2, lambda s: s.slope**2)
    )
    return Sparsity(
        output=None if output is None else share_near_zero(expr, output),
        slope=None if slope is None else share_near_zero(expr, slope, of_slope=True),
        output_zero=share_near_zero(expr, 0.0),
        slope_zero=share_near_zero(expr, 0.0, of_slope=True),
    )


def _threshold(expr: Expr, integrand: Integrand) -> float | None:
    second = figure(expr, integrand)
    if second is None or math.isinf(second.value):
        return None
    return NEGLIGIBLE * math.sqrt(max(0.0, second.value))
