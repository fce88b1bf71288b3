"""A function under a density, branch by branch: where both are smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from ..expr import Expr
from ..lowering.eager import evaluate
from .algebra import ZERO, negated
from .densities import Density
from .pieces import REACH, Piece, knots_of, middle, on_piece, pieces_of, zeros_of
from .quadrature import integral
from .slopes import logarithmic_slope


@dataclass(frozen=True)
class Branch:
    """A stretch on which the function and the density are smooth.

    Args:
        low, high: its ends; infinite at the outside.
        piece: the smooth piece of the function that it lies in.
        kernel: of the density, there; 0 outside its support.
        score: -p'/p, there.
        zeros: of f', between the ends or at them, where f is not flat.
    """

    low: float
    high: float
    piece: Piece
    kernel: Expr
    score: Expr
    zeros: tuple[float, ...]

    def ends(self, density: Density) -> list[float]:
        """Where to cut the branch for an integral against the density, from low to high."""
        inner = {density.location, *self.zeros}
        return sorted({self.low, self.high} | {at for at in inner if self.low < at < self.high})


@lru_cache(maxsize=512)
def branches_of(expr: Expr, density: Density) -> tuple[Branch, ...]:
    """The branches of a function of x without parameters, from left to right.

    Kinks and zeros are looked for within twelve scales of the density around its centre.

    Raises:
        ValueError, DerivativeError: as of `pieces_of`.
    """
    reach = max(REACH, abs(density.location) + REACH * density.scale)
    pieces = pieces_of(expr, reach)
    knots = {piece.high for piece in pieces[:-1]}
    knots.update(knots_of(density.kernel, reach))
    found = []
    for low, high in pairwise([-math.inf, *sorted(knots), math.inf]):
        inside = middle(low, high)
        piece = next(piece for piece in pieces if piece.low < inside < piece.high)
        kernel = on_piece(density.kernel, inside)
        score = negated(logarithmic_slope(kernel))
        zeros = () if piece.flat or kernel == ZERO else _zeros(piece.slope, low, high, reach)
        found.append(Branch(low, high, piece, kernel, score, zeros))
    return tuple(found)


def mean_and_variance(branches: Sequence[Branch], density: Density) -> tuple[float, float]:
    """E f and Var f, given that the input is in one of the branches.

    Raises:
        ValueError: they are not finite.
    """
    totals = []
    for power in (0, 1, 2):
        value = error = 0.0
        for branch in branches:

            def weighted(x: Tensor, f: Expr = branch.piece.expr, power: int = power) -> Tensor:
                return evaluate(density.expr, {"x": x}) * evaluate(f, {"x": x}) ** power

            part = integral(weighted, branch.ends(density), density.scale)
            value, error = value + part.value, error + part.error
        if not error <= 1e-6 * (1 + abs(value)):
            raise ValueError(
                f"under {density.name} the function has no finite variance, which the scale-free "
                "form needs"
            )
        totals.append(value)
    mass, first, second = totals
    mean = first / mass if mass else 0.0
    variance = second / mass - mean**2 if mass else 0.0
    if not variance > 0:
        raise ValueError("a constant function has no scale-free form")
    # What rounding leaves of a mean of 0 would stand in the formula.
    return (mean if abs(mean) > 1e-12 * math.sqrt(variance) else 0.0), variance


def _zeros(rate: Expr, low: float, high: float, reach: float) -> tuple[float, ...]:
    inside = max(low, -reach), min(high, reach)
    if inside[0] >= inside[1]:
        return ()
    found = zeros_of(rate, *inside)
    for end in (low, high):
        if math.isfinite(end):
            there = float(evaluate(rate, {"x": torch.tensor(end, dtype=torch.float64)}))
            if there == 0:
                found.append(end)
    return tuple(sorted(set(found)))
