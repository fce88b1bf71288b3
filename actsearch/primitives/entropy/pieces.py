"""Stretches on which an expression is smooth: what it is there, and where its slope is 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from ..expr import Apply, Expr, Input, postorder, substitute
from ..lowering.eager import evaluate
from ..parse import parse
from .algebra import ZERO, simplified
from .slopes import slope

MOST_KNOTS = 64
"""Of one expression; a function with more kinks within the range is refused."""
REACH = 12.0
"""Kinks and zeros are looked for within so many scales of the density, and at least units."""

# Where an operator bends: the sign that decides, and what it is above and below.
_SWITCHES = {
    "abs": ("u", "u", "-u"),
    "sign": ("u", "1", "-1"),
    "step": ("u", "1", "0"),
    "relu": ("u", "u", "0"),
    "elu": ("u", "u", "expm1(u)"),
    "selu": ("u", "1.0507009873554805*u", "1.7580993408473766*expm1(u)"),
    "softsign": ("u", "u/(1 + u)", "u/(1 - u)"),
    "signed_sqrt": ("u", "sqrt(u)", "-sqrt(-u)"),
    "protected_log": ("u", "log(u + 1e-07)", "log(1e-07 - u)"),
    "max": ("u - v", "u", "v"),
    "min": ("u - v", "v", "u"),
    "greater": ("u - v", "1", "0"),
}
# A straight-through pair is its value here, for that is what the output is.
_EXPANDED = {
    "hard_sigmoid_keras2": "relu(0.2*u + 0.5) - relu(0.2*u - 0.5)",
    "surrogate": "u",
}


@dataclass(frozen=True)
class Piece:
    """A stretch of the input on which f is smooth.

    Args:
        low, high: its ends; infinite at the outside.
        expr: f there, without kinks.
        slope: f' there, collected.
        sign: of f'; 0 where f is constant, and where f' has zeros inside.
    """

    low: float
    high: float
    expr: Expr
    slope: Expr
    sign: int

    @property
    def flat(self) -> bool:
        return self.slope == ZERO

    @property
    def middle(self) -> float:
        """A point inside."""
        return middle(self.low, self.high)


@lru_cache(maxsize=512)
def pieces_of(expr: Expr, reach: float = REACH) -> tuple[Piece, ...]:
    """The smooth pieces of an expression of x, split at its kinks alone, from left to right.

    Args:
        reach: kinks further from 0 are not looked for.

    Raises:
        ValueError: there are more than `MOST_KNOTS` kinks.
        DerivativeError: an operator has no derivative in closed form.
    """
    expr = _expanded(expr)
    ends = [-math.inf, *knots_of(expr, reach), math.inf]
    found: list[Piece] = []
    for low, high in pairwise(ends):
        smooth = on_piece(expr, middle(low, high))
        if found and found[-1].expr == smooth:
            low = found.pop().low
        rate = slope(smooth)
        found.append(Piece(low, high, smooth, rate, _sign(rate, low, high, reach)))
    return tuple(found)


@lru_cache(maxsize=512)
def knots_of(expr: Expr, reach: float = REACH) -> tuple[float, ...]:
    """Where an operator of the expression changes its branch, in order.

    Raises:
        ValueError: as of `pieces_of`.
    """
    found: set[float] = set()
    for node in postorder(_expanded(expr)):
        if isinstance(node, Apply) and node.operator.name in _SWITCHES:
            found.update(sign_changes(_filled(_switch(node.operator.name)[0], node), -reach, reach))
        if len(found) > MOST_KNOTS:
            raise ValueError(
                f"'{expr}' has more than {MOST_KNOTS} kinks within |x| <= {reach:g}; "
                "its pieces cannot be listed"
            )
    return tuple(sorted(found))


def on_piece(expr: Expr, at: float) -> Expr:
    """The smooth expression that equals the given one around a point that is no kink."""
    expr = _expanded(expr)
    point = torch.tensor(at, dtype=torch.float64)
    chosen: dict[Expr, Expr] = {}
    for node in postorder(expr):
        if not isinstance(node, Apply):
            chosen[node] = node
            continue
        made = Apply(node.operator, tuple(chosen[a] for a in node.arguments))
        if node.operator.name in _SWITCHES:
            decides, above, below = _switch(node.operator.name)
            positive = float(evaluate(_filled(decides, node), {"x": point})) > 0
            chosen[node] = _filled(above if positive else below, made)
        else:
            chosen[node] = made
    return simplified(chosen[expr])


def sign_changes(expr: Expr, low: float, high: float) -> list[float]:
    """Points between two finite ends where the sign of an expression of x becomes another.

    Points that are within 1e-9 of a short decimal number are that number.
    """
    return [_snapped(at) for at in _changes(expr, _between(low, high), deeper=4)]


def zeros_of(expr: Expr, low: float, high: float) -> list[float]:
    """Where an expression is 0 between two finite ends, with a change of sign or without.

    A stretch on which it underflows to 0 is none.

    Raises:
        ValueError: there are more than `MOST_KNOTS`.
    """
    grid = _between(low, high)
    signs = torch.sign(evaluate(expr, {"x": grid}))
    places = torch.nonzero(signs[1:] * signs[:-1] < 0).flatten().tolist()
    found = [
        _snapped(at)
        for place in places[: MOST_KNOTS + 1]
        for at in _changes(expr, _finer(grid, place), deeper=3)
    ]
    grid = torch.linspace(low, high, 4001, dtype=torch.float64)
    size = evaluate(expr, {"x": grid}).abs()
    before, inner, after = size[:-2], size[1:-1], size[2:]
    lowest = (inner < before) & (inner <= after) & ((inner > 0) | (inner < after))
    largest = float(size.nan_to_num(0.0, 0.0, 0.0).max())
    touching = grid[1:-1][lowest & (inner < 1e-3 * largest)].tolist()
    for start in touching[: MOST_KNOTS + 1]:
        at = _nearest_to_0(expr, start, float(grid[1] - grid[0]))
        # In a tail all values are small; a zero stands out from its neighbours.
        aside = min(abs(_value(expr, at + d)) for d in (-1e-2, 1e-2))
        alone = not any(abs(at - known) < 1e-6 for known in found)
        if alone and abs(_value(expr, at)) <= 1e-10 * aside:
            found.append(at)
    if len(found) > MOST_KNOTS:
        raise ValueError(
            f"the slope has more than {MOST_KNOTS} zeros in {low:g} to {high:g}; "
            "its branches cannot be listed"
        )
    return sorted(found)


def middle(low: float, high: float) -> float:
    """A point between two ends that is no short number."""
    if math.isinf(low) and math.isinf(high):
        return 0.318309886
    if math.isinf(low):
        return high - 0.718281828
    if math.isinf(high):
        return low + 0.718281828
    return low + 0.4812118 * (high - low)


def _sign(rate: Expr, low: float, high: float, reach: float) -> int:
    inside = max(low, -reach), min(high, reach)
    if rate == ZERO or inside[0] >= inside[1]:
        inside = (middle(low, high),) * 2
    grid = torch.linspace(*inside, 4001, dtype=torch.float64)[1:-1]
    signs = set(torch.sign(evaluate(rate, {"x": grid})).int().tolist()) - {0}
    return signs.pop() if len(signs) == 1 else 0


def _between(low: float, high: float) -> Tensor:
    """Points none of which is a short number, so that a zero there has one on each side."""
    steps = torch.arange(4001, dtype=torch.float64) + 0.4142135623730951
    return low + (high - low) * steps / 4002


def _finer(grid: Tensor, place: int) -> Tensor:
    return torch.linspace(float(grid[place]), float(grid[place + 1]), 514, dtype=torch.float64)


def _changes(expr: Expr, grid: Tensor, deeper: int) -> list[float]:
    """Where 0 counts as a sign of its own."""
    signs = torch.sign(evaluate(expr, {"x": grid}))
    found: list[float] = []
    for place in torch.nonzero(signs[1:] != signs[:-1]).flatten().tolist():
        if not (math.isfinite(signs[place]) and math.isfinite(signs[place + 1])):
            continue
        if deeper:
            found += _changes(expr, _finer(grid, place), deeper - 1)
        else:
            found.append(float(grid[place] + grid[place + 1]) / 2)
        if len(found) > MOST_KNOTS:
            break
    return found


def _snapped(at: float) -> float:
    near = float(f"{at:.6g}")
    if abs(at) < 1e-9:
        return 0.0
    return near if abs(near - at) < 1e-9 else at


def _nearest_to_0(expr: Expr, start: float, step: float) -> float:
    at = start
    for _ in range(5):
        fine = torch.linspace(at - step, at + step, 401, dtype=torch.float64)
        at = float(fine[int(evaluate(expr, {"x": fine}).abs().argmin())])
        step /= 100
    return _snapped(at)


def _value(expr: Expr, at: float) -> float:
    return float(evaluate(expr, {"x": torch.tensor(at, dtype=torch.float64)}))


@cache
def _switch(name: str) -> tuple[Expr, Expr, Expr]:
    decides, above, below = (parse(text, input_names=("u", "v")) for text in _SWITCHES[name])
    return decides, above, below


def _filled(template: Expr, node: Apply) -> Expr:
    return substitute(template, dict(zip(_NAMES, node.arguments, strict=False)))


_NAMES: Sequence[Input] = (Input("u"), Input("v"))


def _expanded(expr: Expr) -> Expr:
    replaced: dict[Expr, Expr] = {}
    for node in postorder(expr):
        if isinstance(node, Apply):
            made = Apply(node.operator, tuple(replaced[a] for a in node.arguments))
            text = _EXPANDED.get(node.operator.name)
            replaced[node] = _filled(parse(text, input_names=("u",)), made) if text else made
        else:
            replaced[node] = node
    return replaced[expr]
