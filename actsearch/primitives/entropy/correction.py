"""The correction of an activation along which the entropy of its output falls fastest.

EAFO, Sun et al. 2024, arXiv:2405.12954, for any piecewise invertible base and input density. With
s the sign of f' on a branch and p the density of the input, the direction of steepest descent is

    D = s (p' - p f''/f') = -s p (score + (ln|f'|)'),    score = -p'/p

without an inverse. Where f' is 0 the weight f'^2 takes the place of |f'|, D = p' f' - p f''. A flat
piece is the limit of a slope a > 0, whose direction p' is the same for every a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import torch
from torch import Tensor

from ..analysis.figure import at_initial
from ..expr import (
    Apply,
    Constant,
    Expr,
    Input,
    Parameter,
    inputs,
    parameters,
    substitute,
)
from ..lowering.eager import evaluate
from ..moments import moments
from ..operators import OPERATORS
from .algebra import ONE, ZERO, factored, negated, plus, product, times, total
from .branches import Branch, branches_of, mean_and_variance
from .densities import Density
from .finite import check_defined, finite, grid_of
from .slopes import logarithmic_slope, slope

_X = Input("x")
_LARGEST_STEP = 1e-9


class Form(StrEnum):
    """Which descent direction a correction is."""

    INVERSE_FREE = "inverse-free"
    """Weight |f'|, the paper's own, without an inverse."""
    REGULAR = "regular"
    """Weight f'^2, finite where f' is 0, and 0 where f is flat."""
    SCALE_FREE = "scale-free"
    """Of H - ln(Var f)/2, which is the same for f and 2 f; weight f'^2 where f' has zeros."""


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


@dataclass(frozen=True)
class Part:
    """The direction on one branch, D = -constant * term, without its windows."""

    branch: Branch
    term: Expr


@dataclass(frozen=True)
class Correction:
    """A base and the term that is added to it, D = -constant * term.

    Entropy falls, to first order, for base + eps*term with eps < 0.

    Args:
        base: as given, with its trainable parameters.
        form: as asked for or chosen.
        squared: whether the weight is f'^2.
        zeros: of f', inside the support or at its ends.
        parts: from left to right.
        windows: of the kinks where the direction would jump.
        term: over the whole line; 0 if the base is a scaled distribution function.
        constant: above 0, stripped from the term.
    """

    base: Expr
    density: Density
    form: Form
    squared: bool
    zeros: tuple[float, ...]
    parts: tuple[Part, ...]
    windows: tuple[Window, ...]
    term: Expr
    constant: float

    @property
    def vanishes(self) -> bool:
        """Whether the base is the worst activation of the density already."""
        return self.term == ZERO

    def function(self, eps: float = 0.01) -> Expr:
        """base + eps*term, with eps trained from the given start; the base if the term is 0."""
        if self.vanishes:
            return self.base
        taken = {p.name for p in parameters(self.base)}
        name = next(n for n in ("eps", *(f"eps{k}" for k in range(2, 99))) if n not in taken)
        return plus_product(self.base, Parameter(name, eps), self.term)

    def at(self, eps: float) -> Expr:
        """The same function of x alone, with every parameter fixed at its start, and eps too."""
        return plus_product(at_initial(self.base), Constant(eps), self.term)


def correction(
    base: Expr, density: Density, form: Form | None = None, *, unit: bool = False
) -> Correction:
    """The correction of a base under an input density.

    Args:
        base: of x; trainable parameters count at their initial values.
        form: by default the inverse-free one, or the regular one where f' has zeros.
        unit: whether the term is scaled to max |term| = 1, so that eps compares between bases;
            otherwise it has no constant.

    Raises:
        ValueError: the base reads anything but x or has moments, is flat everywhere, or
            is not defined where the density has its inputs; the inverse-free form is asked
            for and f' has zeros; the scale-free one and f has no finite variance; or the term is
            not finite everywhere.
        DerivativeError: an operator has no second derivative in closed form.
    """
    if moments(base) or inputs(base) != ("x",):
        read = ", ".join(inputs(base)) or "no input"
        what = "has moments of a layer" if moments(base) else f"reads {read}"
        raise ValueError(f"an entropy correction is of a function of x; '{base}' {what}")
    check_defined(at_initial(base), density)
    branches = branches_of(at_initial(base), density)
    sloped = [b for b in branches if not b.piece.flat and b.kernel != ZERO]
    if not sloped:
        raise ValueError(
            f"'{base}' is flat wherever {density.name} is; its output has no entropy to lower"
        )
    zeros = tuple(sorted({zero for branch in sloped for zero in branch.zeros}))
    if zeros and form is Form.INVERSE_FREE:
        raise ValueError(
            f"the inverse-free form divides by the slope, which is 0 at x = {zeros[0]:.6g}; "
            "use the regular form"
        )
    squared = form is Form.REGULAR or bool(zeros)
    form = form or (Form.REGULAR if squared else Form.INVERSE_FREE)
    moments_of = mean_and_variance(sloped, density) if form is Form.SCALE_FREE else None
    parts = tuple(Part(b, _direction(b, squared, moments_of)) for b in branches)
    largest = _largest(parts, density)
    blank = Correction(base, density, form, squared, zeros, parts, (), ZERO, 1.0)
    if largest <= _LARGEST_STEP * _compared_with(parts, density, squared):
        return replace(blank, parts=tuple(replace(part, term=ZERO) for part in parts))
    coefficient = _coefficient(parts)
    parts = tuple(replace(part, term=times(Constant(1 / coefficient), part.term)) for part in parts)
    windows = _windows(parts, density, largest / coefficient)
    term = finite(base, _joined(parts, windows), density)
    constant = density.constant * coefficient
    if unit:
        size = float(evaluate(term, {"x": grid_of(density)}).abs().max())
        scale = Constant(1 / size)
        parts = tuple(replace(part, term=times(scale, part.term)) for part in parts)
        windows = tuple(replace(w, left=w.left / size, right=w.right / size) for w in windows)
        term, constant = times(scale, term), constant * size
    return replace(blank, parts=parts, windows=windows, term=term, constant=constant)


def plus_product(base: Expr, eps: Expr, term: Expr) -> Expr:
    """base + eps*term, the product written as one chain of factors."""
    factors = [term]
    while isinstance(factors[0], Apply) and factors[0].operator.name == "mul":
        factors[:1] = factors[0].arguments
    whole = eps
    for factor in factors:
        whole = Apply(OPERATORS["mul"], (whole, factor))
    return Apply(OPERATORS["add"], (base, whole))


def _direction(branch: Branch, squared: bool, moments_of: tuple[float, float] | None) -> Expr:
    """-D/p's constant on a branch."""
    if branch.kernel == ZERO:
        return ZERO
    piece, score = branch.piece, branch.score
    if squared:
        bracket = plus(times(score, piece.slope), slope(piece.slope))
    elif piece.flat:
        bracket = score
    else:
        bracket = plus(score, logarithmic_slope(piece.slope))
    if moments_of is not None and not piece.flat:
        mean, variance = moments_of
        rate = times(piece.slope, piece.slope) if squared else piece.slope
        centred = plus(piece.expr, Constant(-_short(mean)))
        pull = times(centred, rate, Constant(_short(1 / variance)))
        bracket = plus(bracket, negated(pull))
    if piece.sign < 0 and not squared:
        bracket = negated(bracket)
    return times(bracket, branch.kernel)


def _coefficient(parts: tuple[Part, ...]) -> float:
    """Size of the constant factor of the first part that is not 0, a sloped one if there is."""
    by_kind = sorted(parts, key=lambda part: part.branch.piece.flat)
    return next(abs(factored(part.term)[0]) for part in by_kind if part.term != ZERO)


def _windows(parts: tuple[Part, ...], density: Density, largest: float) -> tuple[Window, ...]:
    found = []
    for left, right in pairwise(parts):
        at = left.branch.high
        before, after = (_value(part.term, at) for part in (left, right))
        limit = _LARGEST_STEP * largest
        jumps = not abs(before - after) <= limit
        if jumps or (abs(before) > limit and _bends(left.branch, right.branch)):
            found.append(Window(at, before, after, density.scale / 2))
    return tuple(found)


def _bends(left: Branch, right: Branch) -> bool:
    """Whether f has another slope on each side, and is flat on neither.

    Then p D (1/f'(k-) - 1/f'(k+)), the boundary term of the change of H, is 0 only where D is.
    """
    if left.piece.flat or right.piece.flat:
        return False
    before, after = _value(left.piece.slope, left.high), _value(right.piece.slope, left.high)
    return abs(before - after) > _LARGEST_STEP * (abs(before) + abs(after))


def _joined(parts: tuple[Part, ...], windows: tuple[Window, ...]) -> Expr:
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
    terms = [factored(piece) for piece in pieces if piece != ZERO]
    shared = 0.0 if abs(shared) < 1e-15 else shared
    return total([*((c, product(1.0, powers)) for c, powers in terms), (-shared, ONE)])


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


def _largest(parts: tuple[Part, ...], density: Density) -> float:
    grid = grid_of(density)
    sizes = [
        evaluate(part.term, {"x": grid[_inside(part.branch, grid)]}).abs().nan_to_num(0.0, 0.0)
        for part in parts
    ]
    return max(float(size.max()) if len(size) else 0.0 for size in sizes)


def _compared_with(parts: tuple[Part, ...], density: Density, squared: bool) -> float:
    """Size of the terms that cancel where the direction is 0."""
    largest = 0.0
    for part in parts:
        branch = part.branch
        rate = branch.piece.slope if squared else ONE
        curve = slope(branch.piece.slope) if squared else logarithmic_slope(branch.piece.slope)
        at = {"x": grid_of(density)[_inside(branch, grid_of(density))]}
        for one in (times(branch.score, rate), curve):
            size = evaluate(times(one, branch.kernel), at).abs().nan_to_num(0.0, 0.0)
            largest = max(largest, float(size.max()) if len(size) else 0.0)
    return largest


def _short(value: float) -> float:
    """To twelve digits, beyond which it is what an integral rounds."""
    return float(f"{value:.12g}")


def _inside(branch: Branch, grid: Tensor) -> Tensor:
    return (grid > branch.low) & (grid < branch.high)


def _value(expr: Expr, at: float) -> float:
    return float(evaluate(expr, {"x": torch.tensor(at, dtype=torch.float64)}))
