"""Sums and products of expressions, collected: enough algebra to print a derivation briefly.

Coefficients are floats. Nothing is expanded, so an expression keeps the factors that make it
stable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

import torch

from ..expr import Apply, Constant, Expr, Input, postorder
from ..lowering.eager import evaluate
from ..operators import OPERATORS

ZERO, ONE = Constant(0.0), Constant(1.0)
Powers = Mapping[Expr, Fraction]
"""Factors and their exponents, in the order in which they are written."""

# Terms that cancel up to rounding are gone.
_ROUNDING = 1e-12
_PRODUCTS = frozenset(("mul", "chain", "div", "neg", "reciprocal", "square", "cube", "pow"))
_SUMS = frozenset(("add", "sub"))
_NAMED_POWERS = {Fraction(2): "square", Fraction(3): "cube"}


def simplified(expr: Expr) -> Expr:
    """An equal expression with sums and products collected and constants folded.

    Equal as a real function where the given one is finite; `chain` becomes a product.
    """
    built: dict[Expr, Expr] = {}
    for node in postorder(expr):
        if not isinstance(node, Apply):
            built[node] = node
            continue
        made = Apply(node.operator, tuple(built[a] for a in node.arguments))
        if made.operator.name in _SUMS:
            built[node] = total(terms_of(made))
        elif made.operator.name in _PRODUCTS:
            built[node] = product(*factored(made))
        else:
            built[node] = _folded(made)
    return built[expr]


def plus(*parts: Expr) -> Expr:
    """The sum, collected; one part alone stays as it is."""
    parts = tuple(part for part in parts if part != ZERO)
    if len(parts) == 1:
        return parts[0]
    return total(term for part in parts for term in terms_of(part))


def times(*parts: Expr) -> Expr:
    """The product, with equal factors collected."""
    return product(*_multiplied(factored(part) for part in parts))


def negated(expr: Expr) -> Expr:
    """-expr."""
    return times(Constant(-1.0), expr)


def quotient(above: Expr, below: Expr) -> Expr:
    """above/below, with common factors cancelled."""
    coefficient, powers = factored(below)
    if coefficient == 0:
        return _apply("div", above, below)
    inverse = 1 / coefficient, {factor: -power for factor, power in powers.items()}
    return product(*_multiplied([factored(above), inverse]))


@lru_cache(maxsize=8192)
def factored(expr: Expr) -> tuple[float, Powers]:
    """The constant coefficient of a product and its factors; of a sum, what its terms share."""
    match expr:
        case Constant(value):
            return value, {}
        case Apply(operator, (left, right)) if operator.name in ("mul", "chain"):
            return _multiplied([factored(left), factored(right)])
        case Apply(operator, (left, right)) if operator.name == "div":
            return _multiplied([factored(left), _raised(right, Fraction(-1))])
        case Apply(operator, (argument,)) if operator.name == "neg":
            coefficient, powers = factored(argument)
            return -coefficient, powers
        case Apply(operator, (argument,)) if operator.name == "reciprocal":
            return _raised(argument, Fraction(-1))
        case Apply(operator, (argument,)) if operator.name == "square":
            return _raised(argument, Fraction(2))
        case Apply(operator, (argument,)) if operator.name == "cube":
            return _raised(argument, Fraction(3))
        case Apply(operator, (base, Constant(value))) if operator.name == "pow":
            return _raised(base, Fraction(value))
        case Apply(operator, _) if operator.name in _SUMS:
            return _shared(terms_of(expr))
    return 1.0, {expr: Fraction(1)}


def product(coefficient: float, powers: Powers) -> Expr:
    """The product of powers, x first, as one quotient at most, after its coefficient."""
    if coefficient == 0:
        return ZERO
    ordered = sorted(powers.items(), key=lambda item: not isinstance(item[0], Input))
    above = [_power(factor, power) for factor, power in ordered if power > 0]
    below = [_power(factor, -power) for factor, power in ordered if power < 0]
    if not above and not below:
        return Constant(coefficient)
    numerator = _joined(above) if above else None
    if not below:
        assert numerator is not None
        return _scaled(coefficient, numerator)
    denominator = _joined(below)
    if numerator is None:
        return _scaled(coefficient, _apply("reciprocal", denominator))
    return _scaled(coefficient, _apply("div", numerator, denominator))


@lru_cache(maxsize=8192)
def terms_of(expr: Expr) -> tuple[tuple[float, Expr], ...]:
    """Coefficients and what they multiply, from left to right; a constant multiplies `ONE`."""
    match expr:
        case Constant(value):
            return ((value, ONE),)
        case Apply(operator, (left, right)) if operator.name in _SUMS:
            sign = 1.0 if operator.name == "add" else -1.0
            return (*terms_of(left), *((sign * c, term) for c, term in terms_of(right)))
        case Apply(operator, _) if operator.name in _PRODUCTS:
            coefficient, powers = factored(expr)
            if list(powers.values()) == [1]:
                (only,) = powers
                if isinstance(only, Apply) and only.operator.name in _SUMS:
                    return tuple((coefficient * c, term) for c, term in terms_of(only))
            return ((coefficient, product(1.0, powers)),) if coefficient else ()
    return ((1.0, expr),)


def total(terms: Iterable[tuple[float, Expr]]) -> Expr:
    """The sum of coefficients times expressions, equal ones collected, a positive one first."""
    collected: dict[Expr, tuple[float, float]] = {}
    for coefficient, term in terms:
        found, size = collected.get(term, (0.0, 0.0))
        collected[term] = found + coefficient, size + abs(coefficient)
    kept = [(c, term) for term, (c, size) in collected.items() if abs(c) > _ROUNDING * size]
    if not kept:
        return ZERO
    first = next((i for i, (c, _) in enumerate(kept) if c > 0), 0)
    kept.insert(0, kept.pop(first))
    whole = _scaled(*kept[0])
    for coefficient, term in kept[1:]:
        name = "add" if coefficient > 0 else "sub"
        whole = _apply(name, whole, _scaled(abs(coefficient), term))
    return whole


def _multiplied(parts: Iterable[tuple[float, Powers]]) -> tuple[float, Powers]:
    coefficient, powers = 1.0, dict[Expr, Fraction]()
    for factor, more in parts:
        coefficient *= factor
        for base, power in more.items():
            powers[base] = powers.get(base, Fraction(0)) + power
    if coefficient == 0:
        return 0.0, {}
    return _joined_gates(coefficient, {base: power for base, power in powers.items() if power})


def _raised(base: Expr, power: Fraction) -> tuple[float, Powers]:
    coefficient, powers = factored(base)
    if coefficient == 0 and power > 0:
        return 0.0, {}
    whole = power.denominator == 1
    if coefficient == 0 or (not whole and (len(powers) > 1 or coefficient != 1)):
        return 1.0, {base: power}
    return coefficient ** float(power), {factor: p * power for factor, p in powers.items()}


def _shared(terms: Sequence[tuple[float, Expr]]) -> tuple[float, Powers]:
    """The factors that all terms have, and what is left as one more factor."""
    split = [(c, factored(term)) for c, term in terms]
    if len(split) < 2:
        return split[0][0] * split[0][1][0], split[0][1][1]
    first, *others = (powers for _, (_, powers) in split)
    common = {
        base: min(power, *(other[base] for other in others))
        for base, power in first.items()
        if all(base in other for other in others)
    }
    if not common:
        return 1.0, {total(terms): Fraction(1)}
    left = []
    for coefficient, (own, powers) in split:
        rest = {b: p - common.get(b, Fraction(0)) for b, p in powers.items()}
        left.append((coefficient * own, product(1.0, {b: p for b, p in rest.items() if p})))
    return _multiplied([(1.0, common), (1.0, {total(left): Fraction(1)})])


def _joined_gates(coefficient: float, powers: dict[Expr, Fraction]) -> tuple[float, Powers]:
    """sigmoid(a) sigmoid(-a) as sech(a/2)^2/4, whose logarithmic slope is one word."""
    for base, power in powers.items():
        if not (isinstance(base, Apply) and base.operator.name == "sigmoid"):
            continue
        (argument,) = base.arguments
        mirrored = _apply("sigmoid", negated(argument))
        if powers.get(mirrored) == power and power.denominator == 1:
            rest = {b: p for b, p in powers.items() if b not in (base, mirrored)}
            joined = _apply("sech_squared", times(Constant(0.5), argument))
            factor = coefficient * 0.25 ** float(power)
            return _multiplied([(factor, rest), (1.0, {joined: power})])
    return coefficient, powers


def _scaled(coefficient: float, expr: Expr) -> Expr:
    if expr == ONE:
        return Constant(coefficient)
    if coefficient == 1:
        return expr
    if coefficient == -1:
        return _apply("neg", expr)
    # 1/3 is no short number.
    if abs(coefficient) < 1 and (1 / coefficient).is_integer() and len(repr(coefficient)) > 8:
        return _apply("div", expr, Constant(1 / coefficient))
    return _apply("mul", Constant(coefficient), expr)


def _power(factor: Expr, power: Fraction) -> Expr:
    if power == 1:
        return factor
    if power in _NAMED_POWERS:
        return _apply(_NAMED_POWERS[power], factor)
    return _apply("pow", factor, Constant(float(power)))


def _joined(factors: list[Expr]) -> Expr:
    whole = factors[0]
    for factor in factors[1:]:
        whole = _apply("mul", whole, factor)
    return whole


def _folded(node: Apply) -> Expr:
    if not all(isinstance(a, Constant) for a in node.arguments):
        return node
    value = evaluate(node, {"x": torch.zeros((), dtype=torch.float64)}).item()
    return Constant(value) if math.isfinite(value) else node


def _apply(name: str, *arguments: Expr) -> Expr:
    return Apply(OPERATORS[name], arguments)
