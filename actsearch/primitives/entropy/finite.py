"""Whether a base is defined and a correction finite, where a layer may be given numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from ..expr import Apply, Expr, postorder
from ..lowering.eager import evaluate, value_and_slopes
from ..operators import OPERATORS
from .densities import Density
from .pieces import REACH


def grid_of(density: Density) -> Tensor:
    """4,801 points within twelve scales of the centre, float64."""
    # With 0 itself, where many functions are singular.
    steps = torch.arange(-2400, 2401, dtype=torch.float64) * (REACH / 2400)
    return density.location + density.scale * steps


def check_defined(base: Expr, density: Density) -> None:
    """Whether a base has a value wherever the density has its inputs.

    Raises:
        ValueError: it has none at some point, named.
    """
    grid = grid_of(density)
    grid = grid[(grid >= density.low) & (grid <= density.high)]
    value = evaluate(base, {"x": grid})
    bad = torch.isnan(value) | (torch.isinf(value) & (grid.abs() <= REACH))
    if bad.any():
        where = float(grid[bad][grid[bad].abs().argmin()])
        raise ValueError(
            f"'{base}' is not finite at x = {where:.6g}, which {density.name} reaches; "
            "give a function of every real number"
        )


def finite(base: Expr, term: Expr, density: Density) -> Expr:
    """The term, with products that are 0 where either factor is, if it needs them.

    Raises:
        ValueError: value or slope are not finite for some |x| <= 1e4 all the same.
    """
    where = _first_bad(term, density)
    if where is None:
        return term
    guarded = _with_chains(term)
    if _first_bad(guarded, density) is None:
        return guarded
    raise ValueError(f"the correction of '{base}' under {density.name} is not finite at {where}")


def _with_chains(expr: Expr) -> Expr:
    """0 times an overflow is 0: the density falls faster than the rest grows."""
    built: dict[Expr, Expr] = {}
    for node in postorder(expr):
        if isinstance(node, Apply):
            name = "chain" if node.operator.name == "mul" else node.operator.name
            built[node] = Apply(OPERATORS[name], tuple(built[a] for a in node.arguments))
        else:
            built[node] = node
    return built[expr]


def _first_bad(term: Expr, density: Density) -> str | None:
    """The point next to 0 where value or slope are not finite."""
    far = torch.logspace(-4, 4, 200, dtype=torch.float64)
    points = torch.cat([grid_of(density), -far, far])
    for dtype in (torch.float64, torch.float32):
        at = points.to(dtype)
        value, (rate, *_) = value_and_slopes(term, {"x": at})
        bad = ~(torch.isfinite(value) & torch.isfinite(rate))
        if bad.any():
            return f"x = {float(at[bad][at[bad].abs().argmin()]):.6g} in {str(dtype)[6:]}"
    return None
