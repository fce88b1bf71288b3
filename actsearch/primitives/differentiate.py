"""Derivatives as expressions, by reverse accumulation over the shared subexpressions."""

from __future__ import annotations

import math
from functools import cache, lru_cache

from ..errors import DerivativeError
from .expr import Apply, Constant, Expr, Input, Parameter, postorder, substitute
from .layer_words import LAYER_WORDS
from .moments import MOMENTS
from .operator import Operator
from .operators import OPERATORS
from .parse import parse

_ZERO, _ONE = Constant(0.0), Constant(1.0)
# Above this exponent |x| = 1e4 leaves the range of float32 (1e38), where an overflow in one
# factor of the chain rule can meet an underflow in the other.
_SAFE_GROWTH = 8.0


@lru_cache(maxsize=4096)
def gradients(expr: Expr) -> dict[Expr, Expr]:
    """Partial derivatives by every input and trainable parameter that the expression reads.

    Raises:
        DerivativeError: an operator in it has no derivative in closed form.
    """
    order = list(postorder(expr))
    growth = _growth(order)
    adjoint: dict[Expr, Expr] = {expr: _ONE}
    for node in reversed(order):
        outer = adjoint.get(node, _ZERO)
        if not isinstance(node, Apply) or outer == _ZERO:
            continue
        slopes = _slopes_at(node.operator, node.arguments)
        for argument, slope in zip(node.arguments, slopes, strict=True):
            if not isinstance(argument, Constant):
                term = _product(outer, slope, growth)
                adjoint[argument] = _sum(adjoint.get(argument, _ZERO), term)
    return {leaf: adjoint.get(leaf, _ZERO) for leaf in order if isinstance(leaf, Input | Parameter)}


def derivative(expr: Expr, by: str = "x") -> Expr:
    """Derivative by the named input; 0 if the expression does not read it."""
    return gradients(expr).get(Input(by), _ZERO)


@cache
def _slopes(operator: Operator) -> tuple[Expr, ...]:
    if not operator.slopes:
        if operator.name in MOMENTS:
            raise DerivativeError(
                f"'{operator.name}' is a moment of a whole layer and has no slope at one point"
            )
        if operator.name in LAYER_WORDS:
            raise DerivativeError(
                f"'{operator.name}' reads a whole tensor and has no slope at one point"
            )
        raise DerivativeError(
            f"operator '{operator.name}' is itself a derivative and has none in closed form; "
            "it is for evaluation only"
        )
    return tuple(parse(text, input_names=("x", "y")) for text in operator.slopes)


# Candidates share their parts, and the derivatives of these.
@lru_cache(maxsize=4096)
def _slopes_at(operator: Operator, arguments: tuple[Expr, ...]) -> tuple[Expr, ...]:
    names = (Input("x"), Input("y"))
    replacements = dict(zip(names, arguments, strict=False))
    return tuple(_simplified(substitute(slope, replacements)) for slope in _slopes(operator))


def _simplified(expr: Expr) -> Expr:
    """Fold a negated constant, the only folding that slope formulas need."""
    match expr:
        case Apply(operator, (Constant(value),)) if operator.name == "neg":
            return Constant(-value)
    return expr


def _growth(order: list[Expr]) -> dict[Expr, float]:
    known: dict[Expr, float] = {}
    for node in order:
        _measure_growth(node, known)
    return known


def _measure_growth(expr: Expr, known: dict[Expr, float]) -> float:
    for node in postorder(expr, known):
        match node:
            case Input():
                known[node] = 1.0
            case Apply(operator, arguments):
                bound = operator.growth(*(known[a] for a in arguments))
                known[node] = math.inf if math.isnan(bound) else bound
            case _:
                known[node] = 0.0
    return known[expr]


def _product(outer: Expr, slope: Expr, growth: dict[Expr, float]) -> Expr:
    for one, other in ((outer, slope), (slope, outer)):
        match one:
            case Constant(0.0):
                return _ZERO
            case Constant(1.0):
                return other
            case Constant(-1.0):
                return Apply(OPERATORS["neg"], (other,))
    both = [_measure_growth(factor, growth) for factor in (outer, slope)]
    name = "chain" if max(both) > _SAFE_GROWTH else "mul"
    return Apply(OPERATORS[name], (outer, slope))


def _sum(left: Expr, right: Expr) -> Expr:
    if left == _ZERO:
        return right
    if right == _ZERO:
        return left
    if isinstance(right, Apply) and right.operator.name == "neg":
        return Apply(OPERATORS["sub"], (left, right.arguments[0]))
    return Apply(OPERATORS["add"], (left, right))
