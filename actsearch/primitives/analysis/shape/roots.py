"""Where a smooth function changes its sign, on a dense grid and then by Brent's method."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from scipy.optimize import brentq

from ..figure import Figure
from .curve import Curve, Points, difference_step, polynomial_derivative
from .polynomial import real_roots, value_at

REACH = 1e4
WINDOW = 20.0
MOST = 24


@dataclass(frozen=True)
class Signs:
    """Signs of a function between its sign changes on an interval.

    Args:
        roots: the sign changes in ascending order.
        between: -1, 0 or 1 on each of the `len(roots) + 1` parts; 0 where the function is 0 or
            too small to tell.
    """

    roots: tuple[Figure, ...]
    between: tuple[int, ...]


@cache
def _base_grid() -> Points:
    """[-20, 20] by hundredths, and outwards to 1e4 at growing distances."""
    far = np.geomspace(WINDOW, REACH, 400)
    return np.unique(np.concatenate([-far, np.arange(-2000, 2001) / 100, far]))


def grid_between(low: float, high: float) -> Points:
    """Points of the open interval, dense near its finite ends and near 0."""
    near = np.geomspace(1e-7, 0.5, 60)
    parts = [_base_grid(), near, -near]
    for end in (low, high):
        if math.isfinite(end):
            parts.append(end + np.concatenate([near, -near]) * max(1.0, abs(end)))
    if math.isfinite(low) and math.isfinite(high):
        parts.append(np.linspace(low, high, 33))
    elif math.isfinite(low):
        parts.append(low + max(1.0, abs(low)) * np.geomspace(1, REACH, 60))
    elif math.isfinite(high):
        parts.append(high - max(1.0, abs(high)) * np.geomspace(1, REACH, 60))
    points = np.unique(np.concatenate(parts))
    return np.asarray(points[(points > low) & (points < high)])


def grid_for(curve: Curve, order: int, low: float, high: float) -> Points:
    """Points at which a derivative of that order is that of this interval: differences need room
    to the ends."""
    x = grid_between(low, high)
    if not curve.is_differenced(order):
        return x
    room = 2.1 * order * difference_step(x)
    return np.asarray(x[(x - room > low) & (x + room < high)])


def known_signs(x: Points, values: Points, rounding: float) -> Points:
    """Signs of the values, 0 where they are within rounding of what they were nearer to 0."""
    sizes = np.where(np.isfinite(values), np.abs(values), 0.0)
    scale = np.empty_like(sizes)
    right = x >= 0
    inner = float(sizes[np.abs(x) <= 1].max(initial=0.0))
    scale[right] = np.maximum(np.maximum.accumulate(sizes[right]), inner)
    scale[~right] = np.maximum(np.maximum.accumulate(sizes[~right][::-1])[::-1], inner)
    floor = rounding * (10 + np.abs(x)) * scale
    return np.where(sizes > floor, np.sign(np.nan_to_num(values)), 0.0)


def signs_of(curve: Curve, order: int, low: float, high: float) -> Signs:
    """Sign changes of the derivative of that order in the open interval.

    Exact for polynomials whose derivative of that order has degree 2 or less.
    """
    polynomial = polynomial_derivative(curve, order)
    exact = None if polynomial is None else real_roots(polynomial)
    if polynomial is not None and exact is not None:
        return _exact_signs(curve, order, low, high, exact)
    x = grid_for(curve, order, low, high)
    if not len(x):
        return Signs((), (0,))
    rounding = 1e-14
    if order:
        rounding = 1e-8 if curve.is_differenced(order) else 1e-13
    values = curve.at(x, order)
    signs = known_signs(x, values, rounding)
    known = np.flatnonzero(signs)
    if not len(known):
        return Signs((), (0,))
    changes = np.flatnonzero(signs[known][1:] != signs[known][:-1])
    # A pole changes the sign too, but is no root.
    roots: list[Figure] = []
    between = [int(signs[known[0]])]
    refined = _worth_refining(x[known[changes]], curve, order)
    for index in changes:
        left, right = float(x[known[index]]), float(x[known[index + 1]])
        if left in refined:
            root = _refined(curve, order, left, right)
        else:
            root = Figure((left + right) / 2, error=(right - left) / 2)
        if root is not None:
            roots.append(root)
            between.append(int(signs[known[index + 1]]))
    return Signs(tuple(roots), tuple(between))


def _worth_refining(lefts: Points, curve: Curve, order: int) -> set[float]:
    """All sign changes, or those of an oscillation that are to be listed and a few more.

    Of the third derivative, which only bounds the second, few and cheap ones.
    """
    if order > 2 and (len(lefts) > MOST or curve.is_differenced(order)):
        return set()
    if len(lefts) <= 2 * MOST:
        return set(lefts.tolist())
    inside = [left for left in lefts.tolist() if abs(left) <= WINDOW]
    return set(sorted(inside, key=abs)[: MOST + 4])


def _exact_signs(curve: Curve, order: int, low: float, high: float, roots: list[Figure]) -> Signs:
    """Of a polynomial; roots at which it keeps its sign are left out."""
    inside = [r for r in roots if low < r.value < high]
    edges = [low, *(r.value for r in inside), high]
    polynomial = polynomial_derivative(curve, order)
    changes: list[Figure] = []
    between: list[int] = []
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        middle = Fraction(middle_of(left, right))
        value = value_at(polynomial, middle) if polynomial else 0
        sign = (value > 0) - (value < 0)
        if not between:
            between.append(sign)
        elif sign != between[-1]:
            changes.append(inside[index - 1])
            between.append(sign)
    return Signs(tuple(changes), tuple(between))


def middle_of(low: float, high: float) -> float:
    """A point of the open interval: its middle, or one unit inside of its only finite end."""
    if math.isfinite(low) and math.isfinite(high):
        return (low + high) / 2
    if math.isfinite(low):
        return low + max(1.0, abs(low))
    if math.isfinite(high):
        return high - max(1.0, abs(high))
    # Not 0, where much is special.
    return 0.7390851332151607


def _refined(curve: Curve, order: int, left: float, right: float) -> Figure | None:
    def value(x: float) -> float:
        found = curve.number(x, order)
        return 0.0 if math.isnan(found) else found

    try:
        root = float(brentq(value, left, right, xtol=1e-15, rtol=1e-14, maxiter=200))
    except (ValueError, RuntimeError):
        return None
    at = abs(value(root))
    if at > max(abs(value(left)), abs(value(right))):
        return None
    for digits in (0, 2, 4, 6):
        rounded = round(root, digits)
        # Numbers in formulas are short, and so are the places they lead to.
        if abs(rounded - root) < 1e-6 and abs(value(rounded)) <= at and left < rounded < right:
            root = rounded + 0.0
            break
    return Figure(root, error=_error(value, root, left, right))


def _error(value: object, root: float, left: float, right: float) -> float:
    """The distance at which the sign is right on both sides again."""
    assert callable(value)
    sign = math.copysign(1.0, value(right))
    error = max(1e-12 * abs(root), 1e-14)
    while error < right - left:
        above, below = value(min(root + error, right)), value(max(root - error, left))
        if above * sign > 0 > below * sign:
            return error
        error *= 4
    return right - left


def nearest(figures: list[Figure]) -> tuple[list[Figure], bool]:
    """At most 24, those nearest to 0 in [-20, 20] if there are more; and whether any were left."""
    if len(figures) <= MOST:
        return figures, False
    inside = [f for f in figures if abs(f.value) <= WINDOW]
    kept = sorted(inside, key=lambda f: abs(f.value))[:MOST]
    return sorted(kept, key=lambda f: f.value), True
