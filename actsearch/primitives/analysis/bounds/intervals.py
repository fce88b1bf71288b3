"""Interval arithmetic on the operators: many intervals at once, each step rounded outwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...operator import Operator
from ...sources import PROTECTION

_RELATIVE = 1e-12
"""Wider than any error of the operators in float64."""
_TINY = 1e-300
_LARGEST = torch.finfo(torch.float64).max


@dataclass(frozen=True)
class Intervals:
    """Lower and upper ends, float64 of one shape; NaN where a function is undefined all along."""

    low: Tensor
    high: Tensor


def outward(low: Tensor, high: Tensor) -> Intervals:
    """The intervals, widened by what rounding can have taken off them."""
    # Beyond the largest number lies more than can be said, not infinity.
    low, high = low.clamp(max=_LARGEST), high.clamp(min=-_LARGEST)
    return Intervals(
        low - (_RELATIVE * low.abs().nan_to_num(posinf=0.0) + _TINY),
        high + (_RELATIVE * high.abs().nan_to_num(posinf=0.0) + _TINY),
    )


def applied(operator: Operator, arguments: tuple[Intervals, ...]) -> Intervals:
    """Intervals that hold every value of the operator on its arguments, where it is defined."""
    name = operator.name
    if name == "surrogate":
        return arguments[0]
    if name in _BINARY:
        return outward(*_BINARY[name](*arguments))
    (x,) = arguments
    if name in _INCREASING:
        low, high = _INCREASING[name]
        inside = _clipped(x, low, high)
        return outward(operator.value(inside.low), operator.value(inside.high))
    if name in _DECREASING:
        return outward(operator.value(x.high), operator.value(x.low))
    if name in _EVEN:
        near, far = _distances(x)
        ends = operator.value(near), operator.value(far)
        return outward(*(ends if _EVEN[name] else ends[::-1]))
    if name in _SLOW:
        return outward(*_by_slope(operator, x, _SLOW[name]))
    if name in _WAVES:
        return outward(*_wave(operator, x, _WAVES[name]))
    if name == "reciprocal":
        return outward(*_reciprocal(x))
    # An operator that nothing is known of may have any value.
    return Intervals(torch.full_like(x.low, -math.inf), torch.full_like(x.high, math.inf))


def product(x: Intervals, y: Intervals) -> tuple[Tensor, Tensor]:
    """Ends of x y; an unbounded end stands for numbers without bound, so 0 times it is 0."""
    undefined = x.low.isnan() | y.low.isnan()
    corners = torch.stack([a * b for a in (x.low, x.high) for b in (y.low, y.high)]).nan_to_num(
        nan=0.0, posinf=math.inf, neginf=-math.inf
    )
    low, high = corners.min(0).values, corners.max(0).values
    return low.masked_fill(undefined, math.nan), high.masked_fill(undefined, math.nan)


# Where an operator increases, and between which arguments it is defined.
_EVERYWHERE = (-math.inf, math.inf)
_INCREASING: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("cube", "signed_sqrt", "exp", "expm1", "softplus", "sinh"), _EVERYWHERE),
    **dict.fromkeys(("tanh", "asinh", "atan", "relu", "sigmoid", "log_sigmoid"), _EVERYWHERE),
    **dict.fromkeys(("hard_sigmoid_keras2", "softsign", "elu", "selu", "erf"), _EVERYWHERE),
    **dict.fromkeys(("normal_cdf", "step", "sign", "round", "tanh_shrink"), _EVERYWHERE),
    **dict.fromkeys(("sqrt", "log"), (0.0, math.inf)),
    "log1p": (-1.0, math.inf),
}
_DECREASING = ("neg", "erfc")
# Of |x| alone: whether they increase in it.
_EVEN: Mapping[str, bool] = {
    **dict.fromkeys(("abs", "square", "cosh", "log_cosh", "protected_log"), True),
    **dict.fromkeys(("gaussian", "sech_squared", "bessel_i0e"), False),
}


@dataclass(frozen=True)
class _Slow:
    """Bounds of the value and of the slope, the latter on each side of 0 if it jumps there."""

    low: float
    high: float
    slope: float
    jumps_at_0: bool = False


# Rounded outwards; slopes are those of the closed forms on a dense grid, with some room.
_SLOW: Mapping[str, _Slow] = {
    "sinc": _Slow(-0.21723363, 1.0, 0.4362),
    "sinc_slope": _Slow(-0.4362, 0.4362, 0.3334),
    "bessel_i1e": _Slow(-0.2192, 0.2192, 0.5001),
    "bessel_i0e_slope": _Slow(-1.0, 1.0, 1.6, jumps_at_0=True),
    "bessel_i1e_slope": _Slow(-0.1, 0.5, 1.1),
}
# Where the first maximum above or at 0 is.
_WAVES: Mapping[str, float] = {"sin": math.pi / 2, "cos": 0.0}


def _clipped(x: Intervals, low: float, high: float) -> Intervals:
    outside = (x.high < low) | (x.low > high)
    return Intervals(
        x.low.clamp(low, high).masked_fill(outside, math.nan),
        x.high.clamp(low, high).masked_fill(outside, math.nan),
    )


def _distances(x: Intervals) -> tuple[Tensor, Tensor]:
    """Smallest and largest |x|."""
    near = torch.maximum(x.low, -x.high).clamp(min=0.0)
    return near, torch.maximum(x.low.abs(), x.high.abs())


def _by_slope(operator: Operator, x: Intervals, facts: _Slow) -> tuple[Tensor, Tensor]:
    middle = ((x.low + x.high) / 2).nan_to_num()
    half = torch.maximum(x.high - middle, middle - x.low)
    value = operator.value(middle)
    if facts.jumps_at_0:
        half = half.masked_fill((x.low <= 0) & (x.high >= 0), math.inf)
    return (
        (value - facts.slope * half).clamp(min=facts.low),
        (value + facts.slope * half).clamp(max=facts.high),
    )


def _wave(operator: Operator, x: Intervals, peak: float) -> tuple[Tensor, Tensor]:
    ends = torch.stack([operator.value(x.low), operator.value(x.high)])
    # A peak that might be inside counts as inside, for the remainder of a division is not exact.
    room = 1e-9 * (1 + torch.maximum(x.low.abs(), x.high.abs()))

    def holds(place: float) -> Tensor:
        first = torch.ceil((x.low - room - place) / (2 * math.pi))
        last = torch.floor((x.high + room - place) / (2 * math.pi))
        return ~(first > last)

    low = ends.min(0).values.masked_fill(holds(peak + math.pi), -1.0)
    high = ends.max(0).values.masked_fill(holds(peak), 1.0)
    return low, high


def _reciprocal(x: Intervals) -> tuple[Tensor, Tensor]:
    pole = (x.low < 0) & (x.high > 0)
    # A zero at an end is approached from inside alone.
    low, high = (1 / x.high), (1 / x.low)
    low = torch.where(x.high == 0, -math.inf, low)
    high = torch.where(x.low == 0, math.inf, high)
    return low.masked_fill(pole, -math.inf), high.masked_fill(pole, math.inf)


def _divided(x: Intervals, y: Intervals) -> tuple[Tensor, Tensor]:
    return product(x, outward(*_reciprocal(y)))


def _protected(x: Intervals, y: Intervals) -> tuple[Tensor, Tensor]:
    return _divided(x, outward(y.low + PROTECTION, y.high + PROTECTION))


def _quotient(x: Intervals, y: Intervals) -> tuple[Tensor, Tensor]:
    near, far = _distances(y)
    factor = outward(1 / torch.hypot(torch.ones_like(far), far), 1 / torch.sqrt(1 + near.square()))
    return product(x, factor)


def _greater(x: Intervals, y: Intervals) -> tuple[Tensor, Tensor]:
    difference = outward(x.low - y.high, x.high - y.low)

    def step(t: Tensor) -> Tensor:
        return (t >= 0).to(t.dtype)

    return step(difference.low), step(difference.high)


def _power(x: Intervals, y: Intervals) -> tuple[Tensor, Tensor]:
    whole = (y.low == y.high) & (y.low == y.low.round())
    even = whole & (y.low % 2 == 0)
    near, far = _distances(x)
    # Monotone in each of base and exponent where the base is not negative: extremes at corners.
    base = [x.low.clamp(min=0.0), x.high.clamp(min=0.0)]
    low, high = _corners([b**e for b in base for e in (y.low, y.high)])
    low_even, high_even = _corners([near**y.low, far**y.low])
    low_odd, high_odd = _corners([x.low**y.low, x.high**y.low])
    odd = whole & ~even
    low = torch.where(even, low_even, torch.where(odd, low_odd, low))
    high = torch.where(even, high_even, torch.where(odd, high_odd, high))
    pole = odd & (y.low < 0) & (x.low <= 0) & (x.high >= 0)
    low, high = low.masked_fill(pole, -math.inf), high.masked_fill(pole, math.inf)
    # A negative base has a power of either sign wherever the exponent may be a whole number.
    some_whole = torch.ceil(y.low) <= torch.floor(y.high)
    signs = ~whole & some_whole & (x.low < 0)
    _, most = _corners([size**e for size in (near, far) for e in (y.low, y.high)])
    low = torch.where(signs, torch.minimum(low.nan_to_num(nan=math.inf), -most), low)
    high = torch.where(signs, torch.maximum(high.nan_to_num(nan=-math.inf), most), high)
    outside = ~whole & ~some_whole & (x.high < 0)
    return low.masked_fill(outside, math.nan), high.masked_fill(outside, math.nan)


def _corners(values: list[Tensor]) -> tuple[Tensor, Tensor]:
    stacked = torch.stack(values)
    return stacked.min(0).values, stacked.max(0).values


_BINARY: Mapping[str, Callable[[Intervals, Intervals], tuple[Tensor, Tensor]]] = {
    "add": lambda x, y: (x.low + y.low, x.high + y.high),
    "sub": lambda x, y: (x.low - y.high, x.high - y.low),
    "mul": product,
    "chain": product,
    "div": _divided,
    "pow": _power,
    "max": lambda x, y: (torch.maximum(x.low, y.low), torch.maximum(x.high, y.high)),
    "min": lambda x, y: (torch.minimum(x.low, y.low), torch.minimum(x.high, y.high)),
    "greater": _greater,
    "protected_div": _protected,
    "analytic_quotient": _quotient,
    "logaddexp": lambda x, y: (torch.logaddexp(x.low, y.low), torch.logaddexp(x.high, y.high)),
}
