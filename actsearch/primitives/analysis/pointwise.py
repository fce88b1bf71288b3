"""A function of one number, at many points."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DerivativeError
from ..expr import Expr, inputs
from ..layer_words import layer_words
from ..lowering.eager import evaluate, value_and_slopes
from .figure import at_initial

Array = NDArray[np.float64]


def function_of_x(expr: Expr) -> Expr:
    """The expression with its trainable parameters at their start.

    Raises:
        ValueError: it does not read x alone, or is a draw or reads a whole tensor.
    """
    names = inputs(expr)
    if names != ("x",):
        read = " and ".join(names) if names else "no input"
        raise ValueError(f"'{expr}' reads {read}; these figures are of functions of x alone")
    if layer_words(expr):
        raise ValueError(
            f"'{expr}' draws or reads a whole tensor; take the function that it is at unit "
            "statistics"
        )
    return at_initial(expr)


def value_and_slope(expr: Expr, points: Array) -> tuple[Array, Array]:
    """f and f' at float64 points; slopes where f is undefined or that have no closed form are
    not a number."""
    bindings = {"x": torch.from_numpy(np.ascontiguousarray(points))}
    try:
        value, (slope,) = value_and_slopes(expr, bindings)
    except DerivativeError:
        value = evaluate(expr, bindings)
        slope = torch.full_like(value, torch.nan)
    return value.numpy(), np.where(value.isnan().numpy(), np.nan, slope.numpy())


def slope_at_zero(expr: Expr) -> float | None:
    """f'(0); None where the function jumps or has a kink there."""
    step = 1e-7
    value, slope = value_and_slope(expr, np.array([-step, 0.0, step]))
    if not (np.isfinite(value).all() and np.isfinite(slope).all()):
        return None
    # Over 2e-7 a smooth function and its slope change by less, unless its curvature is above 500.
    allowed = 1e-4 * max(1.0, float(np.abs(slope).max()))
    if np.ptp(slope) > allowed or np.ptp(value) > allowed:
        return None
    return float(slope[1])
