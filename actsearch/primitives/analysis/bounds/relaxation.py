"""Two straight lines with the function between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from ...expr import Apply, Constant, Expr, Input
from ...lowering.eager import evaluate
from ...operators import OPERATORS
from ..figure import at_initial
from .interval_bounds import bounds_of

_SAMPLES = 1_025


@dataclass(frozen=True)
class Relaxation:
    """lower_slope x + lower_intercept <= f(x) <= upper_slope x + upper_intercept on an interval."""

    lower_slope: float
    lower_intercept: float
    upper_slope: float
    upper_intercept: float


def relaxation_of(expr: Expr, low: float, high: float) -> Relaxation:
    """The lines of least area on each side, as near as samples tell; sound on the whole interval.

    Of all lines below a function the one with the least area between touches its convex hull above
    the middle of the interval. The slope comes from the hull of samples, the intercept from sound
    bounds of the rest, f(x) - slope x.

    Raises:
        ValueError: as of `bounds_of`.
    """
    fixed = at_initial(expr)
    x = torch.linspace(low, high, _SAMPLES, dtype=torch.float64)
    values = evaluate(fixed, {"x": x}).expand(len(x)).numpy()
    below = _hull_slope(x.numpy(), values)
    above = -_hull_slope(x.numpy(), -values)
    return Relaxation(
        below,
        bounds_of(_without_line(fixed, below), low, high)[0],
        above,
        bounds_of(_without_line(fixed, above), low, high)[1],
    )


def _without_line(expr: Expr, slope: float) -> Expr:
    line = Apply(OPERATORS["mul"], (Constant(slope), Input("x")))
    return Apply(OPERATORS["sub"], (expr, line))


def _hull_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of the lower convex hull of points at the middle of their range; 0 for one point."""
    finite = np.isfinite(y)
    hull: list[tuple[float, float]] = []
    for point in zip(x[finite].tolist(), y[finite].tolist(), strict=True):
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    middle = (x[0] + x[-1]) / 2
    for (x0, y0), (x1, y1) in pairwise(hull):
        if x0 <= middle <= x1 and x1 > x0:
            return (y1 - y0) / (x1 - x0)
    return 0.0


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) <= (b[1] - a[1]) * (c[0] - a[0])
