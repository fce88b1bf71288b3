"""Bounds of a function on an interval, by splitting the interval until they are tight."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from ....errors import DerivativeError
from ...differentiate import derivative
from ...expr import Apply, Constant, Expr, Input, inputs, postorder
from ...lowering.eager import evaluate
from ...rewrite import stable
from ..figure import at_initial
from .intervals import Intervals, applied, outward, product

_PIECES = 128
_ROUNDS = 40
_MOST_PIECES = 1 << 14
_TIGHT = 1e-9
# With one of these inside, the slope does not tell how far a value may be from another.
_JUMPS = {"step", "sign", "greater", "round", "surrogate"}


def bounds_of(expr: Expr, low: float, high: float) -> tuple[float, float]:
    """Bounds of all values of a function of x between two finite ends.

    Sound, for the real function that the formula means, where it is defined; within about 1e-9 of
    the tightest for a function that is smooth or piecewise so. NaN if it is defined nowhere there.

    Args:
        expr: of x; trainable parameters count at their initial values.

    Raises:
        ValueError: the expression reads other inputs than x, an end is not finite, or low > high.
    """
    if inputs(expr) not in ((), ("x",)):
        raise ValueError(f"'{expr}' reads {', '.join(inputs(expr))}; bounds are of functions of x")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"the interval must have finite ends, low <= high; got {low} to {high}")
    fixed = stable(at_initial(expr))
    pieces = _split(low, high)
    smallest = _lowest(fixed, pieces, upper=False)
    largest = -_lowest(fixed, pieces, upper=True)
    return smallest, largest


def enclosure(expr: Expr, pieces: Intervals) -> Intervals:
    """For each piece an interval that holds all values there; the narrower of two forms.

    The natural form follows the operators. The mean-value form, f(c) + f'(X) (X - c), is narrower
    on short pieces, for it knows that x is the same everywhere.
    """
    natural = _natural(expr, pieces)
    slope = _slope(expr)
    if slope is None:
        return natural
    slopes = _natural(slope, pieces)
    middle = (pieces.low + pieces.high) / 2
    at = _natural(expr, Intervals(middle, middle))
    offset = outward(pieces.low - middle, pieces.high - middle)
    low, high = product(slopes, offset)
    mean = outward(at.low + low, at.high + high)
    usable = mean.low.isfinite() & mean.high.isfinite() & ~natural.low.isnan()
    return Intervals(
        torch.where(usable, torch.maximum(natural.low, mean.low), natural.low),
        torch.where(usable, torch.minimum(natural.high, mean.high), natural.high),
    )


@lru_cache(maxsize=256)
def _slope(expr: Expr) -> Expr | None:
    """The derivative, if it bounds differences: the function has no jumps."""
    names = {node.operator.name for node in postorder(expr) if isinstance(node, Apply)}
    if names & _JUMPS:
        return None
    try:
        return stable(derivative(expr))
    except DerivativeError:
        return None


def _natural(expr: Expr, pieces: Intervals) -> Intervals:
    found: dict[Expr, Intervals] = {}
    for node in postorder(expr):
        match node:
            case Input():
                found[node] = pieces
            case Constant(value):
                filled = torch.full_like(pieces.low, value)
                found[node] = Intervals(filled, filled)
            case Apply(operator, arguments):
                found[node] = applied(operator, tuple(found[part] for part in arguments))
    return found[expr]


def _split(low: float, high: float) -> Intervals:
    edges = torch.linspace(low, high, _PIECES + 1 if low < high else 2, dtype=torch.float64)
    edges[0], edges[-1] = low, high
    return Intervals(edges[:-1], edges[1:])


def _lowest(expr: Expr, pieces: Intervals, *, upper: bool) -> float:
    """A bound below all values, or below all negated ones; branch and bound."""
    settled = math.inf
    for _ in range(_ROUNDS):
        held = enclosure(expr, pieces)
        below = -held.high if upper else held.low
        if below.isnan().all():
            return math.nan
        below = below.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
        reached = _sampled(expr, pieces, upper=upper)
        bound = min(float(below.min()), settled)
        if reached - bound <= _TIGHT * (1 + abs(reached)):
            return bound
        # What cannot hold the minimum is left as it is; what may is split.
        open_ = below < reached - _TIGHT * (1 + abs(reached)) / 2
        if not bool(open_.any()):
            return bound
        settled = min(settled, float(below[~open_].min())) if bool((~open_).any()) else settled
        pieces = _halved(Intervals(pieces.low[open_], pieces.high[open_]))
        if len(pieces.low) > _MOST_PIECES:
            break
    held = enclosure(expr, pieces)
    below = (-held.high if upper else held.low).nan_to_num(nan=math.inf, neginf=-math.inf)
    return min(float(below.min()), settled)


def _halved(pieces: Intervals) -> Intervals:
    middle = (pieces.low + pieces.high) / 2
    return Intervals(torch.cat([pieces.low, middle]), torch.cat([middle, pieces.high]))


def _sampled(expr: Expr, pieces: Intervals, *, upper: bool) -> float:
    """The smallest value, or negated value, seen at ends and middles of the pieces."""
    middle = (pieces.low + pieces.high) / 2
    points = torch.cat([pieces.low, middle, pieces.high])
    points = points[points.isfinite()]
    values = evaluate(expr, {"x": points}) if len(points) else torch.zeros(0)
    values = values.expand(len(points))
    values = (-values if upper else values)[values.isfinite()]
    return float(values.min()) if len(values) else math.inf
