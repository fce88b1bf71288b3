"""The correction of an activation along which the entropy of its output falls fastest.

EAFO, Sun et al. 2024, arXiv:2405.12954, for any piecewise invertible base and input density. With
s the sign of f' on a branch and p the density of the input, the direction of steepest descent is

    D = s (p' - p f''/f') = -s p (score + (ln|f'|)'),    score = -p'/p

without an inverse. It is |f'| (p/f')', and any weight in the place of |f'| that leaves
dH = -int weight (p/f')'^2 finite is a descent too. Where f' is 0 that takes its fourth power,
D = f'^2 (p' f' - p f''), dH = -int (p' f' - p f'')^2. A flat piece is the limit of a slope a > 0,
whose direction p' is the same for every a.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

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
)
from ..layer_words import layer_words
from ..lowering.eager import evaluate
from ..operators import OPERATORS
from .algebra import ONE, ZERO, factored, negated, plus, times
from .branches import Branch, branches_of, mean_and_variance
from .densities import Density
from .finite import check_defined, finite, grid_of
from .kinks import Part, Window, joined, windows_of
from .slopes import logarithmic_slope, slope

_X = Input("x")
_LARGEST_STEP = 1e-9


class Form(StrEnum):
    """Which descent direction a correction is."""

    INVERSE_FREE = "inverse-free"
    """Weight |f'|, the paper's own, without an inverse."""
    REGULAR = "regular"
    """Weight f'^2: D is finite where f' is 0, and 0 where f is flat; dH is not finite there."""
    INTEGRABLE = "integrable"
    """Weight f'^4: D and dH are finite, whatever the zeros of f', and these stay where they are."""
    SCALE_FREE = "scale-free"
    """Of H - ln(Var f)/2, which is the same for f and 2 f; weight f'^4 where f' has zeros."""


@dataclass(frozen=True)
class Correction:
    """A base and the term that is added to it, D = -constant * term.

    Entropy falls, to first order, for base + eps*term with eps < 0.

    Args:
        base: as given, with its trainable parameters.
        form: as asked for or chosen.
        power: of |f'| in the weight: 1, 2 or 4.
        zeros: of f', inside the support or at its ends.
        parts: from left to right.
        windows: of the kinks where the direction would jump.
        term: over the whole line; 0 if the base is a scaled distribution function.
        constant: above 0, stripped from the term.
    """

    base: Expr
    density: Density
    form: Form
    power: int
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
        form: by default the inverse-free one, or the integrable one where f' has zeros.
        unit: whether the term is scaled to max |term| = 1, so that eps compares between bases;
            otherwise it has no constant.

    Raises:
        ValueError: the base reads anything but x or has moments, is flat everywhere, or
            is not defined where the density has its inputs; the inverse-free form is asked
            for and f' has zeros; the scale-free one and f has no finite variance; or the term is
            not finite everywhere.
        DerivativeError: an operator has no second derivative in closed form.
    """
    if layer_words(base) or inputs(base) != ("x",):
        read = ", ".join(inputs(base)) or "no input"
        what = "reads a whole tensor" if layer_words(base) else f"reads {read}"
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
            "use the regular form or, for a sure descent, the integrable one"
        )
    form = form or (Form.INTEGRABLE if zeros else Form.INVERSE_FREE)
    power = _power(form, zeros)
    moments_of = mean_and_variance(sloped, density) if form is Form.SCALE_FREE else None
    parts = tuple(Part(b, _direction(b, power, moments_of)) for b in branches)
    largest = _largest(parts, density)
    blank = Correction(base, density, form, power, zeros, parts, (), ZERO, 1.0)
    if largest <= _LARGEST_STEP * _compared_with(parts, density, power):
        return replace(blank, parts=tuple(replace(part, term=ZERO) for part in parts))
    coefficient = _coefficient(parts)
    parts = tuple(replace(part, term=times(Constant(1 / coefficient), part.term)) for part in parts)
    windows = windows_of(parts, density, _LARGEST_STEP * largest / coefficient)
    term = finite(base, joined(parts, windows), density)
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


def _power(form: Form, zeros: tuple[float, ...]) -> int:
    """The power of |f'| that is the weight."""
    match form:
        case Form.REGULAR:
            return 2
        case Form.INTEGRABLE:
            return 4
    return 4 if zeros else 1


def _direction(branch: Branch, power: int, moments_of: tuple[float, float] | None) -> Expr:
    """-D/p's constant on a branch."""
    if branch.kernel == ZERO:
        return ZERO
    piece, score = branch.piece, branch.score
    if power > 1:
        bracket = plus(times(score, piece.slope), slope(piece.slope))
    elif piece.flat:
        bracket = score
    else:
        bracket = plus(score, logarithmic_slope(piece.slope))
    if moments_of is not None and not piece.flat:
        mean, variance = moments_of
        rate = times(piece.slope, piece.slope) if power > 1 else piece.slope
        centred = plus(piece.expr, Constant(-_short(mean)))
        pull = times(centred, rate, Constant(_short(1 / variance)))
        bracket = plus(bracket, negated(pull))
    if power == 4:
        bracket = times(piece.slope, piece.slope, bracket)
    if piece.sign < 0 and power == 1:
        bracket = negated(bracket)
    return times(bracket, branch.kernel)


def _coefficient(parts: tuple[Part, ...]) -> float:
    """The largest constant factor of a sloped part's term; of a flat one's where those are 0.

    The largest, for weights raise the ratio of two slopes to their power.
    """
    terms = [(not part.branch.piece.flat, abs(factored(part.term)[0])) for part in parts]
    return max((is_sloped, size) for is_sloped, size in terms if size > 0)[1]


def _largest(parts: tuple[Part, ...], density: Density) -> float:
    grid = grid_of(density)
    sizes = [
        evaluate(part.term, {"x": grid[_inside(part.branch, grid)]}).abs().nan_to_num(0.0, 0.0)
        for part in parts
    ]
    return max(float(size.max()) if len(size) else 0.0 for size in sizes)


def _compared_with(parts: tuple[Part, ...], density: Density, power: int) -> float:
    """Size of the terms that cancel where the direction is 0."""
    largest = 0.0
    for part in parts:
        branch, rate = part.branch, part.branch.piece.slope
        weight = times(*[rate] * (power - 2)) if power > 1 else ONE
        curve = slope(rate) if power > 1 else logarithmic_slope(rate)
        at = {"x": grid_of(density)[_inside(branch, grid_of(density))]}
        for one in (times(branch.score, rate if power > 1 else ONE), curve):
            size = evaluate(times(one, weight, branch.kernel), at).abs().nan_to_num(0.0, 0.0)
            largest = max(largest, float(size.max()) if len(size) else 0.0)
    return largest


def _short(value: float) -> float:
    """To twelve digits, beyond which it is what an integral rounds."""
    return float(f"{value:.12g}")


def _inside(branch: Branch, grid: Tensor) -> Tensor:
    return (grid > branch.low) & (grid < branch.high)
