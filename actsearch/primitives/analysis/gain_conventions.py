"""Gains by which a network with this function is started, one for each convention in use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..expr import Expr
from ..parse import parse
from .figure import Figure
from .pointwise import slope_at_zero, value_and_slope


@dataclass(frozen=True)
class Gain:
    """A factor on weights whose variance would be 1 over the number of inputs.

    Args:
        name: of the convention.
        value: None where the convention gives this function no finite gain.
        source: where it comes from.
    """

    name: str
    value: Figure | None
    source: str


def gains_by_convention(
    expr: Expr,
    second: Figure | None,
    variance: Figure | None,
    slope_second: Figure | None,
    linear: Figure | None,
) -> tuple[Gain, ...]:
    """Every convention; the first is the one that this package trains with.

    Args:
        expr: of x, without trainable parameters.
        second, variance, slope_second, linear: E f^2, Var f, E f'^2 and E z f.
    """
    return (
        Gain(
            "forward",
            _inverse_root(second),
            "1/sqrt(E f^2) keeps the second moment: He et al. 2015, arXiv:1502.01852, for any f",
        ),
        Gain(
            "backward",
            _inverse_root(slope_second),
            "1/sqrt(E f'^2) keeps the variance of gradients: He et al. 2015, arXiv:1502.01852, "
            "for any f",
        ),
        Gain("centred", _inverse_root(variance), "1/sqrt(Var f), where the mean is taken off"),
        Gain(
            "linear part",
            _inverse(linear),
            "1/|E z f| keeps the best linear fit under N(0, 1); E z f = E f' (Stein)",
        ),
        Gain(
            "slope at 0",
            _at_zero(expr),
            "1/(|f'(0)| sqrt(1 + f(0)^2)): Kumar 2017, arXiv:1704.08863 (from memory)",
        ),
        Gain("torch", _torch(expr), "torch.nn.init.calculate_gain"),
    )


def _inverse_root(of: Figure | None) -> Figure | None:
    """1/sqrt; None of what is infinite, none, or 0 as far as its error can say."""
    if of is None or math.isinf(of.value) or of.value <= of.error:
        return None
    value = of.value**-0.5
    return Figure(value, error=value * of.error / of.value / 2)


def _inverse(of: Figure | None) -> Figure | None:
    if of is None or math.isinf(of.value) or abs(of.value) <= of.error:
        return None
    size = abs(of.value)
    return Figure(1 / size, error=of.error / size**2)


def _at_zero(expr: Expr) -> Figure | None:
    slope = slope_at_zero(expr)
    if not slope:
        return None
    value = float(value_and_slope(expr, np.zeros(1))[0][0])
    gain = 1 / (abs(slope) * math.hypot(1, value))
    return Figure(gain, error=4 * float(np.finfo(np.float64).eps) * gain)


_TORCH = {
    "linear": "x",
    "sigmoid": "sigmoid(x)",
    "tanh": "tanh(x)",
    "relu": "relu(x)",
    "leaky_relu": "max(x, 0.01*x)",
    "selu": "selu(x)",
}
"""Functions that torch has a gain of, by its names."""


def _torch(expr: Expr) -> Figure | None:
    from torch.nn.init import calculate_gain

    points = np.linspace(-5, 5, 41)
    ours, _ = value_and_slope(expr, points)
    for name, formula in _TORCH.items():
        theirs, _ = value_and_slope(parse(formula), points)
        if np.allclose(ours, theirs, rtol=1e-12, atol=1e-14):
            return Figure(float(calculate_gain(name)), exact=True)  # type: ignore[arg-type]
    return None
