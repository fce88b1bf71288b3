"""What happens between two pieces: a jump, a kink, or how many derivatives go on."""

from __future__ import annotations

import math
from fractions import Fraction

import torch

from ...expr import Apply, Expr, inputs, postorder
from ...lowering.eager import value_and_slopes
from ..figure import Figure
from .curve import Curve, polynomial_derivative
from .pieces import Piece
from .polynomial import exact, value_at
from .record import Kink
from .switches import SWITCHES

HIGHEST_ORDER = 5
# Relative, by order; each derivative loses digits, and formulas have constants of 16.
_TOLERANCE = (1e-10, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3)


def kink_between(expr: Expr, left: Piece, right: Piece) -> Kink | None:
    """The kink where two pieces meet; None if the first five derivatives are continuous."""
    at = left.high
    order, below, above = _first_difference(left, right)
    if order is None:
        return None
    kind = {0: "jump", 1: "kink"}.get(order, f"C{order - 1}")
    if order == 0:
        if math.isinf(below.value) or math.isinf(above.value):
            kind = "pole"
        elif math.isnan(below.value) or math.isnan(above.value):
            kind = "edge"
    elif order == 1 and (math.isinf(below.value) or math.isinf(above.value)):
        kind = "cusp"
    elif order > 1:
        below, above = one_sided(left, at, -1, 1), one_sided(right, at, 1, 1)
    return Kink(at, kind, below, above, used_slope(expr, at.value))


def used_slope(expr: Expr, x: float) -> float:
    """The slope that the engine's own derivative has there."""
    names = inputs(expr)
    if not names:
        return 0.0
    point = torch.tensor([x], dtype=torch.float64)
    _, slopes = value_and_slopes(expr, {names[0]: point})
    return float(slopes[0]) + 0.0


def smoothness_of(kinks: tuple[Kink, ...]) -> int | None:
    """-1 with jumps, else the number of continuous derivatives; None if all are."""
    found = [{"jump": -1, "pole": -1, "edge": -1, "cusp": 0, "kink": 0}.get(k.kind) for k in kinks]
    orders = [
        int(k.kind[1:]) if order is None else order for k, order in zip(kinks, found, strict=True)
    ]
    return min(orders, default=None)


def one_sided(piece: Piece, at: Figure, side: int, order: int) -> Figure:
    """Value, or derivative of that order, of a piece at one of its ends.

    Args:
        side: 1 if the piece is on the right of the place, -1 if it is on the left.
    """
    polynomial = polynomial_derivative(piece.curve, order)
    fraction = as_fraction(at)
    if polynomial is not None and fraction is not None:
        return exact(value_at(polynomial, fraction))
    curve = piece.curve
    found = curve.number(at.value, order)
    regular = math.isfinite(found) and not _switches_at(curve, at)
    if not regular:
        approached = _approached(curve, at.value, side, order)
        # The value at the end itself is the surer one, if the curve leads to it.
        if not abs(found - approached.value) <= 3 * approached.error:
            return approached
    if math.isfinite(found):
        slope = curve.number(at.value, order + 1) if at.error else 0.0
        error = 4e-16 * max(abs(found), abs(at.value) * 1e-1) + (
            abs(slope) * at.error if math.isfinite(slope) else 0.0
        )
        return Figure(found + 0.0, error=error + (1e-9 if curve.is_differenced(order) else 0.0))
    return _approached(curve, at.value, side, order)


def as_fraction(figure: Figure) -> Fraction | None:
    """The rational number of an exact figure."""
    if not figure.exact or not math.isfinite(figure.value):
        return None
    try:
        return Fraction(figure.text)
    except ValueError:
        return None


def _switches_at(curve: Curve, at: Figure) -> bool:
    """Whether an operator of the curve is singular, or itself has two sides, at the place."""
    for node in postorder(curve.expr):
        if not isinstance(node, Apply) or node.operator.name not in SWITCHES:
            continue
        for switching in SWITCHES[node.operator.name].at(*node.arguments):
            if not abs(Curve(switching).number(at.value)) > 1e-9 * max(1.0, abs(at.value)):
                return True
    return False


def _approached(curve: Curve, at: float, side: int, order: int) -> Figure:
    """The limit at an end of a piece, from values at shrinking distances."""
    scale = max(1.0, abs(at))
    values = [curve.number(at + side * scale * 10.0**-n, order) for n in range(2, 9)]
    finite = [v for v in values if not math.isnan(v)]
    if len(finite) < 5:
        return Figure(math.nan)
    last, before, start = finite[-1], finite[-2], finite[-4]
    if math.isinf(last) or (abs(last) > 1.5 * abs(before) > 2 * abs(start) and abs(last) > 10):
        return Figure(math.copysign(math.inf, last))
    if abs(last - before) > 0.3 * abs(before - start) and abs(last - before) > 1e-3 * abs(last):
        # A logarithm grows by the same amount each time.
        return Figure(math.copysign(math.inf, last - start))
    return Figure(last, error=abs(last - before))


def _first_difference(left: Piece, right: Piece) -> tuple[int | None, Figure, Figure]:
    at = left.high
    nothing = Figure(math.nan)
    if left.curve.polynomial is not None and left.curve.polynomial == right.curve.polynomial:
        return None, nothing, nothing
    for order in range(HIGHEST_ORDER + 1):
        if order > 2 and (left.curve.is_differenced(order) or right.curve.is_differenced(order)):
            break
        below, above = one_sided(left, at, -1, order), one_sided(right, at, 1, order)
        if _differ(below, above, order):
            return order, below, above
    return None, nothing, nothing


def _differ(below: Figure, above: Figure, order: int) -> bool:
    if below.exact and above.exact:
        return below.text != above.text
    if not (math.isfinite(below.value) and math.isfinite(above.value)):
        return True
    size = max(1.0, abs(below.value), abs(above.value))
    return abs(below.value - above.value) > _TOLERANCE[order] * size + below.error + above.error
