"""What is left of a function in a few bits and with noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..expr import Expr
from .expectation import expectation, samples
from .figure import Figure
from .normal_share import share_near_zero
from .pointwise import Array, function_of_x, value_and_slope

BITS = (8, 4)
REACH = 4.0
"""Inputs up to here set the range of a quantiser; one in 16,000 is further out."""
NEAR_ZERO = 0.75
_POINTS, _NOISE_POINTS = 1 << 15, 1 << 12
_EDGE = 8.0
_NOISE_NODES = 8


@dataclass(frozen=True)
class Quantisation:
    """Figures of f(z), z ~ N(0, 1), in `bits` bits; none depends on the scale of f.

    The output's levels are evenly spaced, one of them 0, and cover f on [-4, 4]; further out they
    clip. The input's are the same for x. For a monotone f the output's staircase is that of an
    analog-to-digital ramp, whose thresholds are the inverse at evenly spaced outputs.

    Args:
        bits: 8 or 4.
        largest_error: of an output for |z| <= 4, in units of sqrt(E f^2).
        mean_error: root mean square, in units of sqrt(E f^2).
        zero_share: probability that an output rounds to 0, the kernel of the quantiser in
            CrossQuant.
        slope_error: root mean square of f'(rounded x) - f'(x) for |x| <= 0.75, in units of
            sqrt(E f'^2); it is large where a kink is near 0. None if that is 0 or not finite, or
            a slope is undefined.
        noise_gain: E (f(z + e) - f(z))^2/(E e^2 E f^2) for normal noise e with the variance that
            rounding the input has, step^2/12; near chi_1 if f is smooth at that scale.
    """

    bits: int
    largest_error: Figure
    mean_error: Figure
    zero_share: Figure
    slope_error: Figure | None
    noise_gain: Figure


def quantisation_of(expr: Expr) -> tuple[Quantisation, ...]:
    """Quantised to 8 and to 4 bits, trainable parameters at their start.

    Returns:
        nothing where f is 0, not a number, or without a finite second moment.

    Raises:
        ValueError: the expression does not read x alone, or reads a whole tensor.
    """
    expr = function_of_x(expr)
    at = samples(expr)
    second, slope_second = (
        expectation(at, integrand) for integrand in (lambda s: s.value**2, lambda s: s.slope**2)
    )
    value, _ = value_and_slope(expr, np.linspace(-REACH, REACH, _POINTS + 1))
    if second is None or not 0 < second < math.inf or not np.isfinite(value).all():
        return ()
    low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
    if high - low == 0:
        return ()
    has_slope = slope_second is not None and 0 < slope_second < math.inf
    slope_size = math.sqrt(slope_second or 0) if has_slope else None
    return tuple(_quantised(expr, bits, low, high, math.sqrt(second), slope_size) for bits in BITS)


def _quantised(
    expr: Expr, bits: int, low: float, high: float, size: float, slope_size: float | None
) -> Quantisation:
    step, input_step = (high - low) / (2**bits - 1), 2 * REACH / (2**bits - 1)
    lowest = round(low / step)
    highest = lowest + 2**bits - 1
    noise = input_step / math.sqrt(12)

    def error(z: Array) -> Array:
        value, _ = value_and_slope(expr, z)
        return np.clip(np.round(value / step), lowest, highest) * step - value

    def slope_error(z: Array) -> Array:
        _, exact = value_and_slope(expr, z)
        _, rounded = value_and_slope(expr, np.round(z / input_step) * input_step)
        return rounded - exact

    def noise_error(z: Array) -> Array:
        places, weights = np.polynomial.hermite_e.hermegauss(_NOISE_NODES)
        value, _ = value_and_slope(expr, z)
        moved, _ = value_and_slope(expr, (z + noise * places[:, None]).ravel())
        changes = moved.reshape(_NOISE_NODES, -1) - value
        return np.sqrt(weights @ changes**2 / weights.sum())

    def largest(z: Array, _: Array) -> float:
        return float(np.abs(error(z[np.abs(z) <= REACH])).max()) / size

    def near_zero(z: Array, weights: Array) -> float:
        assert slope_size is not None
        near = np.abs(z) <= NEAR_ZERO
        return _root_mean_square(slope_error(z[near]), weights[near]) / slope_size

    # At a level the slope may be undefined, as that of sin(x)/x at 0 is.
    slope_error_is_none = slope_size is None or math.isnan(near_zero(*_grid(_POINTS)))
    zero_share = share_near_zero(expr, step / 2)
    assert zero_share is not None
    return Quantisation(
        bits=bits,
        largest_error=_measured(largest),
        mean_error=_measured(lambda z, w: _root_mean_square(error(z), w) / size),
        zero_share=zero_share,
        slope_error=None if slope_error_is_none else _measured(near_zero),
        noise_gain=_measured(
            lambda z, w: (_root_mean_square(noise_error(z), w) / noise / size) ** 2, _NOISE_POINTS
        ),
    )


Measure = Callable[[Array, Array], float]
"""A figure from points of an even grid and their weights under the normal density."""


def _measured(measure: Measure, points: int = _POINTS) -> Figure:
    """With its error from half as many points."""
    fine, coarse = (measure(*_grid(n)) for n in (points, points // 2))
    if math.isinf(fine) or math.isinf(coarse):
        return Figure(math.inf)
    return Figure(fine, error=abs(fine - coarse))


def _grid(count: int) -> tuple[Array, Array]:
    points = _EDGE * (2 * np.arange(count) + 1 - count) / count
    weights = np.exp(-(points**2) / 2)
    return points, weights / weights.sum()


def _root_mean_square(values: Array, weights: Array) -> float:
    return math.sqrt(float(weights @ values**2) / float(weights.sum()))
