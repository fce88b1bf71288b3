"""Monotone, convex, odd or even."""

from __future__ import annotations

import math

import numpy as np

from ...expr import Expr
from .curve import evaluated
from .record import Convexity, Monotone, Parity
from .roots import grid_between
from .survey import Survey

_BREAKS = ("pole", "edge")


def monotone(survey: Survey) -> Monotone | None:
    """By the signs of the slope in all pieces, and of the jumps between them."""
    if any(k.kind == "pole" for k in survey.kinks):
        return None
    signs = [s for orders in survey.signs for s in orders[1].between]
    for kink in survey.kinks:
        if kink.kind == "jump":
            signs.append(int(np.sign(kink.right.value - kink.left.value)))
    found = {s for s in signs if s}
    flat = any(p.is_constant for p in survey.pieces) or not _all_resolved(survey)
    if found == {1}:
        return "non-decreasing" if flat else "increasing"
    if found == {-1}:
        return "non-increasing" if flat else "decreasing"
    return "non-decreasing" if not found else None


def convexity(survey: Survey) -> Convexity | None:
    """By the signs of the curvature in all pieces, and of the kinks between them."""
    signs = [s for orders in survey.signs for s in orders[2].between]
    for kink in survey.kinks:
        if kink.kind in ("jump", *_BREAKS):
            return None
        if kink.kind in ("kink", "cusp"):
            step = kink.right.value - kink.left.value
            if math.isnan(step):
                return None
            signs.append(int(np.sign(step)))
    found = {s for s in signs if s}
    if not found:
        return "affine"
    if len(found) > 1:
        return None
    return "convex" if found == {1} else "concave"


def _all_resolved(survey: Survey) -> bool:
    return all(p.resolved for p in survey.pieces)


def parity(expr: Expr) -> Parity | None:
    """By comparing f(x) and f(-x) on a dense grid, to rounding."""
    x = grid_between(0.0, math.inf)
    right, left = evaluated(expr, x), evaluated(expr, -x)
    both = np.isfinite(right) & np.isfinite(left)
    if both.sum() < 100 or not (np.isfinite(right) == np.isfinite(left)).all():
        return None
    right, left = right[both], left[both]
    size = np.maximum(np.abs(right), np.abs(left))
    # Rounding of what was larger nearer to 0 may be left in a small value.
    allowed = 1e-12 * size + 1e-15 * np.maximum.accumulate(size)
    if (np.abs(right - left) <= allowed).all():
        return "even"
    if (np.abs(right + left) <= allowed).all():
        return "odd"
    return None
