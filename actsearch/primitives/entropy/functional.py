"""The entropy of an activation's output, H[f(U)] = H[U] + E ln |f'(U)|, and how it changes.

Exact for a monotone f. Where branches overlap, the true density is a sum over them; each is taken
for itself here, as in the paper (Sun et al. 2024, arXiv:2405.12954), which is an approximation:
what is given then is H[f(U)] plus the entropy of which branch an output came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from ..analysis.figure import Figure, at_initial
from ..differentiate import derivative
from ..expr import Expr
from ..lowering.eager import evaluate
from .algebra import ZERO
from .branches import Branch, branches_of, mean_and_variance
from .correction import Correction
from .densities import Density
from .quadrature import integral, principal_value
from .slopes import logarithm

# An integral that diverges stops where float64 does, at some huge number.
_INFINITE = 1e12

Stretch = tuple[float, float]
Integrand = Callable[[Tensor, Tensor, Branch], Tensor]


@dataclass(frozen=True)
class Change:
    """How a step eps along a correction changes the entropy, in nats.

    Args:
        eps: the step.
        entropy: H of the new function less H of the base.
        scale_free: the same of H - ln(Var f)/2; None where f has no finite variance.
    """

    eps: float
    entropy: Figure
    scale_free: Figure | None


def entropy(expr: Expr, density: Density, within: Sequence[Stretch] | None = None) -> Figure:
    """Differential entropy of f(U) in nats; trainable parameters at their initial values.

    Args:
        within: stretches of the input to which U is confined; by default the whole support.

    Returns:
        -inf where f is flat on a part of positive probability: the output has an atom there.

    Raises:
        ValueError, DerivativeError: as of `branches_of`.
    """
    branches = _clipped(branches_of(at_initial(expr), density), within)
    if any(branch.piece.flat for branch in branches):
        return Figure(-math.inf)
    mass = _sum(branches, density, lambda x, p, b: p)
    own = _sum(branches, density, lambda x, p, b: -p * _value(logarithm(b.kernel), x))
    stretched = _sum(branches, density, lambda x, p, b: p * _value(logarithm(b.piece.slope), x))
    value = (own.value + stretched.value) / mass.value
    value += math.log(mass.value) - math.log(density.constant)
    return Figure(value, error=(mass.error + own.error + stretched.error) / mass.value)


def scale_free_entropy(
    expr: Expr, density: Density, within: Sequence[Stretch] | None = None
) -> Figure:
    """S = H[f(U)] - ln(Var f(U))/2, the same for f and a*f + b.

    Raises:
        ValueError: f(U) has no finite variance, or as of `entropy`.
    """
    branches = _clipped(branches_of(at_initial(expr), density), within)
    _, variance = mean_and_variance(branches, density)
    found = entropy(expr, density, within)
    return Figure(found.value - 0.5 * math.log(variance), error=found.error)


def sloped(expr: Expr, density: Density) -> tuple[Stretch, ...]:
    """Stretches of the support on which f is not flat."""
    return tuple(
        (branch.low, branch.high)
        for branch in _clipped(branches_of(at_initial(expr), density), None)
        if not branch.piece.flat
    )


def change(found: Correction, eps: float) -> Change:
    """What a step eps does to the entropy, given that the input is where the base is not flat."""
    where = sloped(found.base, found.density)
    new = found.at(eps)

    def difference(of: Callable[[Expr, Density, Sequence[Stretch]], Figure]) -> Figure:
        after, before = (of(f, found.density, where) for f in (new, found.base))
        return Figure(after.value - before.value, error=after.error + before.error)

    try:
        scale_free = difference(scale_free_entropy)
    except ValueError:
        scale_free = None
    return Change(eps, difference(entropy), scale_free)


def first_order(found: Correction) -> Figure:
    """dH/d eps at eps = 0, E[term'/f'], given that the input is where the base is not flat.

    In nats. With weight f'^4 the ratio is bounded on each branch; with f'^2 it has a pole at a zero
    of f', and the figure is a principal value. Not a number where H does not change in proportion
    to eps: where f' touches 0 with weight f'^2, or falls so fast that the mean is infinite.
    """
    density = found.density
    branches = [
        branch
        for branch in _clipped(branches_of(at_initial(found.base), density), None)
        if not branch.piece.flat
    ]
    rate = derivative(found.term)

    mass = _sum(branches, density, lambda x, p, b: p)
    value = error = 0.0
    has_poles = found.power < 4
    if has_poles and any(_touches(branch, zero) for branch in branches for zero in branch.zeros):
        return Figure(math.nan)
    for branch in branches:

        def ratio(x: Tensor, branch: Branch = branch) -> Tensor:
            below = branch.piece.slope
            size = torch.exp(_value(logarithm(branch.kernel), x) - _value(logarithm(below), x))
            return density.constant * size * torch.sign(_value(below, x)) * _value(rate, x)

        ends, poles = branch.ends(density), _inner_zeros(branch) if has_poles else []
        for zero in poles:
            place = ends.index(zero)
            near = min(zero - ends[place - 1], ends[place + 1] - zero, density.scale) / 2
            value += principal_value(ratio, zero, near)
            ends[place : place + 1] = [zero - near, zero + near]
        for low, high in pairwise(ends):
            if not any(low < zero < high for zero in poles):
                part = integral(ratio, (low, high), density.scale)
                value, error = value + part.value, error + part.error
    if not error <= 1e-6 * (1 + abs(value)) or abs(value) > _INFINITE:
        return Figure(math.nan)
    return Figure(value / mass.value, error=error / mass.value)


def _inner_zeros(branch: Branch) -> list[float]:
    return [zero for zero in branch.zeros if branch.low < zero < branch.high]


def _touches(branch: Branch, zero: float) -> bool:
    """Whether f' is 0 between the ends of the branch without a change of sign."""
    if not branch.low < zero < branch.high:
        return False
    near = min(1e-3, (zero - branch.low) / 2, (branch.high - zero) / 2)
    around = torch.tensor([zero - near, zero + near], dtype=torch.float64)
    left, right = _value(branch.piece.slope, around).tolist()
    return left * right > 0


def _sum(branches: Sequence[Branch], density: Density, integrand: Integrand) -> Figure:
    value = error = 0.0
    for branch in branches:

        def weighted(x: Tensor, branch: Branch = branch) -> Tensor:
            p = density.constant * _value(branch.kernel, x)
            found = integrand(x, p, branch)
            return torch.where(p > 0, found, 0.0)

        part = integral(weighted, branch.ends(density), density.scale)
        value, error = value + part.value, error + part.error
    return Figure(value, error=error)


def _clipped(branches: Sequence[Branch], within: Sequence[Stretch] | None) -> list[Branch]:
    """Those parts of the branches that are in the stretches and have probability."""
    found = []
    for branch in branches:
        for low, high in within or ((-math.inf, math.inf),):
            inside = max(low, branch.low), min(high, branch.high)
            if inside[0] < inside[1] and branch.kernel != ZERO:
                found.append(replace(branch, low=inside[0], high=inside[1]))
    return found


def _value(expr: Expr, x: Tensor) -> Tensor:
    return evaluate(expr, {"x": x})
