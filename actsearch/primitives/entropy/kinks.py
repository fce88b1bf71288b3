"""The directions on neighbouring branches, joined to one term over the whole line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

from ..expr import Apply, Constant, Expr, Input, substitute
from ..lowering.eager import evaluate
from ..operators import OPERATORS
from .algebra import ONE, factored, negated, plus, product, times, total
from .branches import Branch
from .densities import Density

_X = Input("x")


@dataclass(frozen=True)
class Part:
    """The direction on one branch, D = -constant * term, without its windows."""

    branch: Branch
    term: Expr


@dataclass(frozen=True)
class Window:
    """A kink at which the direction is faded out, for it would leave the function torn or H rising.

    Args:
        at: the kink.
        left, right: the direction's values on both sides, in units of the term.
        width: w of the factor 1 - exp(-(x - at)^2/2w^2).
    """

    at: float
    left: float
    right: float
    width: float


def windows_of(parts: tuple[Part, ...], density: Density, negligible: float) -> tuple[Window, ...]:
    """One for each kink where the direction jumps, or is not 0 between two slopes.

    Args:
        negligible: the largest value that is a 0.
    """
    found = []
    for left, right in pairwise(parts):
        at = left.branch.high
        before, after = (_value(part.term, at) for part in (left, right))
        jumps = not abs(before - after) <= negligible
        if jumps or (abs(before) > negligible and _bends(left.branch, right.branch)):
            found.append(Window(at, before, after, density.scale / 2))
    return tuple(found)


def joined(parts: tuple[Part, ...], windows: tuple[Window, ...]) -> Expr:
    """One expression: each part of x clipped to its branch, so that none overflows outside."""
    faded = [(part.branch, times(*_fades(part.branch, windows), part.term)) for part in parts]
    merged: list[tuple[float, float, Expr]] = []
    for branch, term in faded:
        if merged and merged[-1][2] == term:
            merged[-1] = (merged[-1][0], branch.high, term)
        else:
            merged.append((branch.low, branch.high, term))
    if len(merged) == 1:
        return merged[0][2]
    pieces = [substitute(term, {_X: _clipped(low, high)}) for low, high, term in merged]
    shared = sum(_value(term, high) for _, high, term in merged[:-1])
    terms = [factored(piece) for piece in pieces]
    shared = 0.0 if abs(shared) < 1e-15 else shared
    return total([*((c, product(1.0, powers)) for c, powers in terms if c), (-shared, ONE)])


def _bends(left: Branch, right: Branch) -> bool:
    """Whether f has another slope on each side, and is flat on neither.

    Then p D (1/f'(k-) - 1/f'(k+)), the boundary term of the change of H, is 0 only where D is.
    """
    if left.piece.flat or right.piece.flat:
        return False
    before, after = _value(left.piece.slope, left.high), _value(right.piece.slope, left.high)
    return abs(before - after) > 1e-9 * (abs(before) + abs(after))


def _fades(branch: Branch, windows: tuple[Window, ...]) -> list[Expr]:
    """1 - exp(-(x - k)^2/2w^2) for each window k at an end of the branch."""
    return [
        negated(
            Apply(
                OPERATORS["expm1"],
                (
                    times(
                        Constant(-0.5 / window.width**2),
                        Apply(OPERATORS["square"], (plus(_X, Constant(-window.at)),)),
                    ),
                ),
            )
        )
        for window in windows
        if window.at in (branch.low, branch.high)
    ]


def _clipped(low: float, high: float) -> Expr:
    clipped: Expr = _X
    if math.isfinite(low):
        clipped = Apply(OPERATORS["max"], (clipped, Constant(low)))
    if math.isfinite(high):
        clipped = Apply(OPERATORS["min"], (clipped, Constant(high)))
    return clipped


def _value(expr: Expr, at: float) -> float:
    return float(evaluate(expr, {"x": torch.tensor(at, dtype=torch.float64)}))
