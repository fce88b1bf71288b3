"""The derivation of a correction, step by step, for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..analysis.figure import Figure
from ..expr import Constant, Expr, postorder, substitute
from ..format import infix
from ..lowering.eager import evaluate
from ..symbolic import latex
from .algebra import ZERO, negated, times
from .correction import Correction, Form, correction
from .densities import Density
from .exact import exact_first_order, within
from .functional import Change, change
from .kinks import Part, Window
from .slopes import slope

STARTS = (0.01, -0.01)
"""Of eps, which is trained: the paper's, and the way in which entropy falls."""


@dataclass(frozen=True)
class Step:
    """One step: what it is, as text for a terminal, and as LaTeX; empty where it has none."""

    title: str
    formula: str
    latex: str = ""


@dataclass(frozen=True)
class Derivation:
    """A correction with the way to it, and what each sign of eps does.

    Args:
        first_order: dH/d eps at 0; not a number where the term is 0, or as of `first_order`.
        changes: for each of `STARTS`; empty where the term is 0.
    """

    correction: Correction
    steps: tuple[Step, ...]
    first_order: Figure
    changes: tuple[Change, ...]


def derive(
    base: Expr,
    density: Density,
    form: Form | None = None,
    *,
    unit: bool = False,
    seconds: float = 5.0,
) -> Derivation:
    """The correction of a base under a density, derived step by step.

    Args:
        form, unit: as of `correction`.
        seconds: for each LaTeX text and for the exact figure; past it they are left out.

    Raises:
        ValueError, DerivativeError: as of `correction`.
    """
    found = correction(base, density, form, unit=unit)
    steps = [
        _density_step(density, seconds),
        Step(
            "Entropy of the output, on each branch where f is monotone",
            "H[f(U)] = H[U] + E ln|f'(U)|" + _scale_free_text(found.form),
            r"H[f(U)] = H[U] + \mathrm{E} \ln |f'(U)|" + _scale_free_latex(found.form),
        ),
        _worst_step(density, seconds),
        _descent_step(found),
        *(_branch_step(part, found, seconds) for part in found.parts),
        *(_kink_step(found, at) for at in _kinks(found)),
    ]
    if found.vanishes:
        steps.append(Step("Result", "D = 0 on every branch, as for C1*CDF + C2", "D = 0"))
        return Derivation(found, tuple(steps), Figure(math.nan), ())
    steps.append(
        Step(
            "Constants go into eps",
            f"D = -{found.constant:.6g}*term, term = {infix(found.term)}",
            _latex(found.term, seconds, rf"D = -{found.constant:.6g}\, t, \quad t = "),
        )
    )
    steps.append(
        Step(
            "New activation, eps trained",
            f"f_new = {infix(found.function(STARTS[0]))}",
            _latex(found.function(STARTS[0]), seconds, r"f_\mathrm{new} = "),
        )
    )
    changes = tuple(change(found, eps) for eps in STARTS)
    return Derivation(found, tuple(steps), exact_first_order(found, seconds), changes)


def _density_step(density: Density, seconds: float) -> Step:
    return Step(
        "Density of the input",
        f"{density.name}: p(x) = {_brief(density.expr)}, -p'/p = {_brief(density.score)}",
        _latex(density.expr, seconds, "p(x) = "),
    )


def _worst_step(density: Density, seconds: float) -> Step:
    cdf = f" = C1*{_factor(density.cdf)} + C2" if density.cdf is not None else ""
    return Step(
        "Its largest value, from the Euler-Lagrange equation of the inverse y of f",
        f"p'(y) y' + p(y) y''/y' = 0, so p(y) y' is constant and f = C1*CDF + C2{cdf}",
        r"p'(y)\,y' + p(y)\,\frac{y''}{y'} = 0"
        r" \;\Rightarrow\; f(u) = C_1 \int_{-\infty}^{u} p + C_2",
    )


def _descent_step(found: Correction) -> Step:
    weight = "|f'|" if found.power == 1 else f"f'^{found.power}"
    if found.form is Form.SCALE_FREE:
        return Step(
            f"Steepest descent with weight {weight}, without the inverse",
            f"D = {weight} ((p/f')' + p (f - E f)/Var f)",
            rf"D = {weight} \left( \left(\frac{{p}}{{f'}}\right)' "
            r"+ p\,\frac{f - \mathrm{E} f}{\mathrm{Var} f} \right)",
        )
    zeros = ", ".join(f"{zero:.6g}" for zero in found.zeros[:3])
    more = ", ..." if len(found.zeros) > 3 else ""
    why = f"; f' is 0 at x = {zeros}{more}" if zeros else ""
    if found.power == 4:
        return Step(
            "Descent with weight f'^4, dH = -int (p' f' - p f'')^2, finite at every zero of f'",
            f"D = f'^4 (p/f')' = f'^2 (p' f' - p f''){why}",
            r"D = f'^4 \left(\frac{p}{f'}\right)' = f'^2 (p' f' - p f'')",
        )
    if found.power == 2:
        return Step(
            "Descent with weight f'^2, which no zero of f' divides",
            f"D = f'^2 (p/f')' = p' f' - p f''{why}",
            r"D = f'^2 \left(\frac{p}{f'}\right)' = p' f' - p f''",
        )
    return Step(
        "Steepest descent, without the inverse; s is the sign of f'",
        "D = |f'| (p/f')' = s (p' - p f''/f') = -s p (-p'/p + f''/f')",
        r"D = s \left( p' - p\,\frac{f''}{f'} \right)",
    )


def _branch_step(part: Part, found: Correction, seconds: float) -> Step:
    branch, piece = part.branch, part.branch.piece
    where = _where(branch.low, branch.high)
    whole = negated(times(Constant(found.constant), part.term))
    direction = f"D = {_brief(whole)}"
    shown = _latex(whole, seconds, "D = ")
    if branch.kernel == ZERO:
        return Step(f"Branch {where}", "outside of the support: D = 0", "D = 0")
    if piece.flat:
        if found.power > 1:
            return Step(f"Branch {where}", f"f = {_brief(piece.expr)}, flat: D = 0", "D = 0")
        return Step(
            f"Branch {where}",
            f"f = {_brief(piece.expr)}, flat: as the limit of a slope a > 0, D = p' for every a; "
            + direction,
            shown,
        )
    sign = f", s = {piece.sign:+d}" if found.power == 1 else ""
    return Step(
        f"Branch {where}",
        f"f = {_brief(piece.expr)}, f' = {_brief(piece.slope)}, "
        f"f'' = {_brief(slope(piece.slope))}{sign}; {direction}",
        shown,
    )


def _kink_step(found: Correction, at: float) -> Step:
    left = next(part for part in found.parts if part.branch.high == at)
    right = next(part for part in found.parts if part.branch.low == at)
    window = next((window for window in found.windows if window.at == at), None)
    scale = -found.constant
    before, after = (scale * value + 0.0 for value in _sides(left, right, at, window))
    values = f"D({at:g}-) = {before:.4g}, D({at:g}+) = {after:.4g}"
    if window is None:
        return Step(f"Kink at x = {at:g}", f"{values}: f stays continuous")
    wide = f"{window.width:g}"
    offset = "x" if at == 0 else f"(x - {at:g})" if at > 0 else f"(x + {-at:g})"
    reason = "it jumps" if abs(before - after) > 1e-9 else "f bends there"
    return Step(
        f"Kink at x = {at:g}",
        f"{values}: {reason}, so D is multiplied by 1 - exp(-{offset}^2/(2*{wide}^2))",
        rf"D \leftarrow D \left(1 - e^{{-{offset}^2 / (2 \cdot {wide}^2)}}\right)",
    )


def _sides(left: Part, right: Part, at: float, window: Window | None) -> tuple[float, float]:
    if window is not None:
        return window.left, window.right
    point = {"x": torch.tensor(at, dtype=torch.float64)}
    return float(evaluate(left.term, point)), float(evaluate(right.term, point))


def _kinks(found: Correction) -> list[float]:
    return [part.branch.high for part in found.parts[:-1]]


def _where(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "all x"
    if math.isinf(low):
        return f"x < {high:.6g}"
    return f"x > {low:.6g}" if math.isinf(high) else f"{low:.6g} < x < {high:.6g}"


def _factor(expr: Expr) -> str:
    """Infix, in parentheses where it is a sum."""
    text = infix(expr)
    return f"({text})" if " + " in text or " - " in text else text


def _brief(expr: Expr) -> str:
    """Infix with constants to six digits."""
    short: dict[Any, Expr] = {
        node: Constant(float(f"{node.value:.6g}"))
        for node in postorder(expr)
        if isinstance(node, Constant)
    }
    return infix(substitute(expr, short))


def _latex(expr: Expr, seconds: float, left: str) -> str:
    found = within(seconds, lambda: latex(expr))
    return left + found if found is not None else ""


def _scale_free_text(form: Form) -> str:
    return ", S = H - ln(Var f)/2" if form is Form.SCALE_FREE else ""


def _scale_free_latex(form: Form) -> str:
    return r", \quad S = H - \tfrac12 \ln \mathrm{Var} f" if form is Form.SCALE_FREE else ""
