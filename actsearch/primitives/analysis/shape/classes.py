"""The least class of operations that computes a function, and what kind its pieces are."""

from __future__ import annotations

from ...expr import Apply, Constant, Expr, inputs, postorder
from .pieces import Piece
from .record import Kind, OperatorClass

_COMPARING = frozenset(
    ("abs", "sign", "step", "relu", "max", "min", "greater", "round", "hard_sigmoid_keras2")
)
_AFFINE = frozenset(("neg", "add", "sub"))
_ALGEBRAIC = frozenset(("sqrt", "signed_sqrt", "analytic_quotient"))
_RATIONAL = frozenset(("reciprocal", "softsign", "protected_div"))
_ORDER: tuple[OperatorClass, ...] = (
    *("comparisons", "polynomial", "rational", "algebraic", "transcendental"),
)


def operator_class(expr: Expr) -> OperatorClass:
    """The highest class among the operators, as the formula is written.

    Sums, and products with constants, count for nothing; a function that needs no more, and no
    comparison, is a polynomial.
    """
    found: set[OperatorClass] = set()
    nodes = [expr]
    seen: set[Expr] = set()
    while nodes:
        node = nodes.pop()
        if node in seen or not isinstance(node, Apply) or not inputs(node):
            continue
        seen.add(node)
        one = _class_of(node)
        if one is not None:
            found.add(one)
        # Of a pair of value and slope, the value is the function.
        nodes += node.arguments[:1] if node.operator.name == "surrogate" else node.arguments
    return max(found, key=_ORDER.index) if found else "polynomial"


def _class_of(node: Apply) -> OperatorClass | None:
    name, arguments = node.operator.name, node.arguments
    reading = [bool(inputs(a)) for a in arguments]
    if name in _COMPARING:
        return "comparisons"
    if name in _AFFINE or name == "surrogate":
        return None
    if name in ("mul", "chain"):
        return "polynomial" if all(reading) else None
    if name in ("square", "cube"):
        return "polynomial"
    if name in ("div", "protected_div"):
        return "rational" if reading[1] else None
    if name in _RATIONAL:
        return "rational"
    if name in _ALGEBRAIC:
        return "algebraic"
    if name == "pow" and isinstance(arguments[1], Constant):
        exponent = arguments[1].value
        if not exponent.is_integer():
            return "algebraic" if (exponent * 12).is_integer() else "transcendental"
        return "polynomial" if exponent >= 0 else "rational"
    return "transcendental"


def kind_of(pieces: tuple[Piece, ...], expr: Expr, smoothness: int | None) -> Kind:
    """By the formulas of the pieces; a line is piecewise linear too."""
    if all(p.is_affine for p in pieces):
        return "piecewise linear"
    if len(pieces) == 1 and pieces[0].curve.polynomial is not None:
        return "polynomial"
    if smoothness is None and not any(
        isinstance(node, Apply) and node.operator.name in _COMPARING
        for node in postorder(pieces[0].curve.expr)
    ):
        return "analytic"
    return "other"
