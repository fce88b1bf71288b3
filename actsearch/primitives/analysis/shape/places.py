"""Zeros, extrema and inflections, across the pieces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ..figure import Figure
from .curve import evaluated
from .record import Extremum
from .roots import nearest
from .survey import Survey

Interval = tuple[Figure, Figure]


def zero_intervals(survey: Survey) -> tuple[Interval, ...]:
    """Stretches on which the function is 0."""
    found: list[Interval] = []
    for piece in survey.pieces:
        if piece.is_constant and piece.curve.polynomial == ():
            if found and found[-1][1] == piece.low:
                found[-1] = (found[-1][0], piece.high)
            else:
                found.append((piece.low, piece.high))
    return tuple(found)


def zeros(survey: Survey) -> list[Figure]:
    """Isolated zeros in ascending order, those where the function only touches 0 too."""
    found: list[Figure] = []
    for index, (piece, orders) in enumerate(zip(survey.pieces, survey.signs, strict=True)):
        inside = list(orders[0].roots)
        turns = orders[1].roots
        values = piece.curve.at(np.array([t.value for t in turns])).tolist() if turns else []
        for at, value in zip(turns, values, strict=True):
            known = any(abs(at.value - z.value) <= 1e-7 + at.error + z.error for z in inside)
            if not known and _is_zero(value, _scale(survey, at.value)):
                inside.append(at)
        found += sorted(inside, key=lambda z: z.value)
        at = piece.high
        if math.isinf(at.value):
            continue
        zero = (piece.is_constant and piece.curve.polynomial == ()) or (
            survey.pieces[index + 1].curve.polynomial == ()
        )
        here = float(evaluated(survey.expr, np.array([at.value]))[0])
        # A place that is not exact lies a little beside the zero.
        slopes = [abs(survey.end(i, s, 1).value) for i, s in ((index, 1), (index + 1, -1))]
        beside = 2 * at.error * max((s for s in slopes if math.isfinite(s)), default=0.0)
        if not zero and (abs(here) <= beside or _is_zero(here, _scale(survey, at.value))):
            found.append(at)
    return found


def _scale(survey: Survey, at: float) -> float:
    around = evaluated(survey.expr, np.array([at - 1.0, at - 0.1, at + 0.1, at + 1.0]))
    return float(np.abs(around[np.isfinite(around)]).max(initial=0.0))


def _is_zero(value: float, scale: float) -> bool:
    return abs(value) <= 1e-14 * scale


def extrema(survey: Survey) -> tuple[tuple[Extremum, ...], bool]:
    """Strict local extrema in ascending order, and whether there are more than are kept."""
    found: dict[Figure, tuple[int, bool]] = {}
    for index, orders in enumerate(survey.signs):
        slope = orders[1]
        for at, (before, after) in zip(slope.roots, _pairs(slope.between), strict=True):
            if before * after < 0:
                found[at] = (index, before < 0)
        if index == len(survey.joins):
            break
        join = survey.joins[index]
        before, after = slope.between[-1], survey.signs[index + 1][1].between[0]
        if (join is None or join.kind not in ("jump", "pole", "edge")) and before * after < 0:
            found[survey.pieces[index].high] = (index, before < 0)
    kept, cut = nearest(list(found))
    return tuple(_extremum(survey, at, *found[at]) for at in kept), cut


def _extremum(survey: Survey, at: Figure, index: int, is_minimum: bool) -> Extremum:
    piece = survey.pieces[index]
    if at != piece.high:
        value = survey.value(index, 0, at)
    elif piece.resolved:
        value = survey.end(index, 1, 0)
    else:
        value = survey.end(index + 1, -1, 0)
    return Extremum(at, value, "minimum" if is_minimum else "maximum")


def inflections(survey: Survey) -> list[Figure]:
    """Places in ascending order where the curvature changes its sign and there is a slope."""
    found: list[Figure] = []
    for index, orders in enumerate(survey.signs):
        curvature = orders[2]
        for at, (before, after) in zip(curvature.roots, _pairs(curvature.between), strict=True):
            if before * after < 0:
                found.append(at)
        if index == len(survey.joins):
            break
        join = survey.joins[index]
        before, after = curvature.between[-1], survey.signs[index + 1][2].between[0]
        if (join is None or join.kind.startswith("C")) and before * after < 0:
            found.append(survey.pieces[index].high)
    return found


def _pairs(signs: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return itertools.pairwise(signs)
