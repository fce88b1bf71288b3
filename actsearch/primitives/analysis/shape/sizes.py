"""Range, limits, asymptotes and Lipschitz constants."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.optimize import minimize_scalar

from ..figure import Figure
from .curve import Curve
from .record import INFINITE, Asymptote, Range
from .roots import grid_between, grid_for
from .survey import Survey
from .tails import asymptote_of

Candidate = tuple[Figure, bool]
_SAME = 1e-9
# What grows this large within reach of the grid goes on to infinity.
_OVERFLOWING = 1e150


def range_of(survey: Survey) -> Range:
    """From values at the turns, at the ends of the pieces and far out."""
    found: list[Candidate] = []
    for index, piece in enumerate(survey.pieces):
        if piece.is_constant:
            found.append((survey.value(index, 0, Figure(0.0, True, 0.0, "0")), True))
            continue
        found += [(value, True) for value in survey.turning_values(index, 0)]
        for side, edge in ((-1, piece.low), (1, piece.high)):
            if math.isfinite(edge.value):
                value = survey.end(index, side, 0)
                found.append((value, _attained(survey, edge.value, value)))
    for (tail, *_), piece in zip(survey.tails, (survey.pieces[0], survey.pieces[-1]), strict=True):
        if tail.limit is not None:
            found.append((tail.limit, piece.is_constant))
        elif not math.isnan(tail.low):
            found += [
                (Figure(bound, error=1e-4 * abs(bound) if math.isfinite(bound) else 0.0), True)
                for bound in (tail.low, tail.high)
            ]
    for sample in _sampled_extremes(survey):
        found.append((Figure(sample, error=1e-9 * max(1.0, abs(sample))), True))
    found = [(f, attained) for f, attained in found if not math.isnan(f.value)]
    if not found:
        nothing = Figure(math.nan)
        return Range(nothing, nothing, False, False)
    low, low_attained = _extreme(found, -1)
    high, high_attained = _extreme(found, 1)
    return Range(low, high, low_attained, high_attained)


def _attained(survey: Survey, x: float, value: Figure) -> bool:
    here = Curve(survey.expr).number(x)
    return abs(here - value.value) <= _SAME * max(1.0, abs(value.value))


def _sampled_extremes(survey: Survey) -> list[float]:
    x = np.append(grid_between(-math.inf, math.inf), 0.0)
    values = Curve(survey.expr).at(x)
    values = values[np.isfinite(values)]
    return [float(values.min()), float(values.max())] if len(values) else []


def _extreme(found: list[Candidate], sign: int) -> Candidate:
    """The best in the direction of the sign; of those alike, the surest and nearest attained."""
    best = max(f.value * sign for f, _ in found) * sign
    if math.isinf(best):
        return next(f for f, _ in found if f.value == best), False
    alike = [
        (f, attained)
        for f, attained in found
        if abs(f.value - best) <= max(_SAME * max(1.0, abs(best)), 2 * f.error)
    ]
    exact = [f for f, _ in alike if f.exact]
    figure = exact[0] if exact else min((f for f, _ in alike), key=lambda f: f.error)
    near = [a for f, a in alike if abs(f.value - figure.value) <= max(1e-15, f.error)]
    # A limit that rounding reaches is not attained; a sampled value says nothing about it.
    proper = [a for f, a in alike if f.error < 1e-9 * max(1.0, abs(best))]
    return figure, any(proper) if proper else any(near)


def limits_of(survey: Survey) -> tuple[Figure | None, Figure | None]:
    low, high = (tail[0].limit for tail in survey.tails)
    return low, high


def asymptotes_of(survey: Survey) -> tuple[Asymptote | None, Asymptote | None]:
    """The lines at both ends, exact where slope and intercept are."""
    made: list[Asymptote | None] = []
    for side, piece in ((-1, survey.pieces[0]), (1, survey.pieces[-1])):
        tail = survey.tails[side > 0]
        line = asymptote_of(piece, side)
        if line is not None and not line.slope.exact:
            slope = tail[1].limit
            if slope is not None and slope.exact:
                level = tail[0].limit
                known = level if slope.value == 0 else survey.intercepts.get(side)
                line = Asymptote(slope, known if known is not None else line.intercept)
        made.append(line)
    return made[0], made[1]


def lipschitz_of(survey: Survey, order: int) -> Figure:
    """The largest |f'|, of order 1, or |f''|, of order 2, that the function has anywhere."""
    breaking = ("jump", "pole", "edge", "cusp") if order == 1 else None
    for kink in survey.kinks:
        if breaking is None:
            if not kink.kind.startswith("C"):
                return INFINITE
        elif kink.kind == "edge":
            continue
        elif kink.kind in breaking:
            return INFINITE
    found: list[Figure] = []
    for index, piece in enumerate(survey.pieces):
        found += survey.turning_values(index, order)
        for side, edge in ((-1, piece.low), (1, piece.high)):
            if math.isfinite(edge.value):
                found.append(survey.end(index, side, order))
        polynomial = piece.curve.polynomial
        if polynomial is not None and len(polynomial) <= order + 1:
            found.append(survey.value(index, order, Figure(0.0, True, 0.0, "0")))
        found += _sampled_largest(piece.curve, piece.low.value, piece.high.value, order)
    for tail in survey.tails:
        at_end = tail[order]
        if at_end.limit is not None:
            found.append(at_end.limit)
        elif not math.isnan(at_end.low):
            sizes = (abs(at_end.low), abs(at_end.high))
            found += [Figure(s, error=1e-4 * s if math.isfinite(s) else 0.0) for s in sizes]
    return _largest(found)


def _largest(found: Iterable[Figure]) -> Figure:
    sized = [
        Figure(abs(f.value), f.exact, f.error, f.text.removeprefix("-") if f.exact else "")
        if f.value < 0
        else f
        for f in found
        if not math.isnan(f.value)
    ]
    if not sized:
        return Figure(math.nan)
    return _extreme([(f, True) for f in sized], 1)[0]


def _sampled_largest(curve: Curve, low: float, high: float, order: int) -> list[Figure]:
    """The largest on the grid, refined; it finds what no sign change of the next order shows."""
    x = grid_for(curve, order, low, high)
    sizes = np.abs(curve.at(x, order))
    finite = np.isfinite(sizes)
    if not finite.any():
        return []
    x, sizes = x[finite], sizes[finite]
    best = int(sizes.argmax())
    value = float(sizes[best])
    if 0 < best < len(x) - 1 and sizes[best - 1] < value > sizes[best + 1]:
        refined = minimize_scalar(
            lambda t: -abs(curve.number(float(t), order)),
            bounds=(x[best - 1], x[best + 1]),
            method="bounded",
            options={"xatol": 1e-10},
        )
        value = max(value, float(-refined.fun)) if math.isfinite(refined.fun) else value
    if value > _OVERFLOWING:
        return [Figure(math.inf)]
    rounding = 1e-8 if curve.is_differenced(order) else 1e-12
    return [Figure(value, error=rounding * max(1.0, value) + 1e-9 * value)]
