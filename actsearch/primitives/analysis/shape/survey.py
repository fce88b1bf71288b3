"""All that the verdicts are drawn from: signs of the derivatives, joins, tails, known figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...expr import Expr
from ..figure import Figure
from .curve import polynomial_derivative
from .joins import as_fraction, kink_between, one_sided
from .pieces import Piece, pieces_of
from .polynomial import exact, value_at
from .record import Kink
from .roots import MOST, Signs, signs_of
from .tails import Tail, tail_of

ORDERS = (0, 1, 2, 3)


@dataclass(frozen=True)
class Survey:
    """A function in pieces, and what was measured of it.

    Args:
        signs: of every piece, of f and its first three derivatives.
        joins: between neighbouring pieces; None where the join is smooth.
        tails: at both ends, of f, f' and f''.
        values: exact figures found by algebra, by (piece, order, text of the place).
        intercepts: of the lines at both ends, where algebra found them.
        inverses: of pieces, where algebra found them.
    """

    expr: Expr
    pieces: tuple[Piece, ...]
    truncated: bool
    signs: tuple[tuple[Signs, ...], ...]
    joins: tuple[Kink | None, ...]
    tails: tuple[tuple[Tail, ...], tuple[Tail, ...]]
    values: Mapping[tuple[int, int, str], Figure] = field(default_factory=dict)
    intercepts: Mapping[int, Figure] = field(default_factory=dict)
    inverses: Mapping[int, str] = field(default_factory=dict)

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return tuple(k for k in self.joins if k is not None)

    def value(self, index: int, order: int, at: Figure) -> Figure:
        """A derivative of a piece at a place inside it."""
        known = self.values.get((index, order, at.text)) if at.exact else None
        if known is not None:
            return known
        curve = self.pieces[index].curve
        polynomial, place = polynomial_derivative(curve, order), as_fraction(at)
        if polynomial is not None and place is not None:
            return exact(value_at(polynomial, place))
        around = curve.at(np.array([at.value, at.value - at.error, at.value + at.error]), order)
        value = float(around[0])
        spread = float(np.abs(around[1:] - value).max()) if at.error else 0.0
        rounding = 1e-8 if curve.is_differenced(order) else 4e-16
        error = rounding * max(abs(value), abs(at.value) * 0.1)
        return Figure(value + 0.0, error=error + (spread if math.isfinite(spread) else 0.0))

    def turning_values(self, index: int, order: int) -> list[Figure]:
        """Values of a derivative where the next one changes its sign; of a long oscillation those
        nearest to 0, the largest and the smallest."""
        turns = self.signs[index][order + 1].roots
        if len(turns) > 2 * MOST:
            places = np.array([t.value for t in turns])
            values = self.pieces[index].curve.at(places, order)
            chosen = {*np.argsort(np.abs(places))[:MOST].tolist()}
            if np.isfinite(values).any():
                chosen |= {int(np.nanargmin(values)), int(np.nanargmax(values))}
            turns = tuple(turns[i] for i in sorted(chosen))
        return [self.value(index, order, at) for at in turns]

    def end(self, index: int, side: int, order: int) -> Figure:
        """A derivative of a piece at its right (1) or left (-1) end."""
        piece = self.pieces[index]
        at = piece.high if side > 0 else piece.low
        known = self.values.get((index, order, at.text)) if at.exact else None
        return known if known is not None else one_sided(piece, at, -side, order)


def survey_of(expr: Expr) -> Survey:
    """Measured on a grid that reaches to 1e4, and refined."""
    pieces, truncated = pieces_of(expr)
    signs = tuple(
        tuple(signs_of(p.curve, order, p.low.value, p.high.value) for order in ORDERS)
        for p in pieces
    )
    joins = tuple(kink_between(expr, left, right) for left, right in itertools.pairwise(pieces))
    ends = ((pieces[0], -1), (pieces[-1], 1))
    low, high = (tuple(tail_of(piece, side, order) for order in (0, 1, 2)) for piece, side in ends)
    return Survey(expr, pieces, truncated, signs, joins, (low, high))


def with_joins_known(survey: Survey) -> Survey:
    """The kinks with the exact figures that algebra found of the pieces' ends."""
    joins = []
    for index, kink in enumerate(survey.joins):
        if kink is not None:
            order = 0 if kink.kind in ("jump", "pole", "edge") else 1
            left, right = survey.end(index, 1, order), survey.end(index + 1, -1, order)
            kink = replace(kink, left=left, right=right)
        joins.append(kink)
    return replace(survey, joins=tuple(joins))
