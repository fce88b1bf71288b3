"""Sums and products as flat lists with exact coefficients, and expressions built from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

from ..expr import Apply, Constant, Expr
from ..operators import OPERATORS

SUMS = frozenset(("add", "sub"))
PRODUCTS = frozenset(("mul", "div", "neg", "reciprocal"))
ONE = Constant(1.0)

Term = tuple[Fraction, Expr]
"""A coefficient and what it multiplies; a constant term multiplies `ONE`."""
Factor = tuple[Expr, int]
"""A factor and its exponent, 1 or -1."""
Maker = Callable[[str, tuple[Expr, ...]], Expr]

# Rules have at most four terms or factors; what lies deeper is one term, so that reading a long
# sum at each of its levels stays linear in its length.
DEEPEST = 4
# Coefficients that a rule may write: a constant beyond float32 would overflow by itself.
_LARGEST = Fraction(2) ** 100


class InexactError(ArithmeticError):
    """A coefficient is not a float, so the expression cannot be written without rounding."""


# Each rule that is tried on an expression reads it anew.
@lru_cache(maxsize=4096)
def linear(expr: Expr, deepest: int = DEEPEST) -> tuple[Term, ...]:
    """The terms of a sum, from left to right; any other expression is one term."""
    match expr:
        case Constant(value):
            return ((Fraction(value), ONE),)
        case Apply(operator, (left, right)) if operator.name in SUMS and deepest:
            sign = 1 if operator.name == "add" else -1
            below = linear(right, deepest - 1)
            return (*linear(left, deepest - 1), *((sign * c, t) for c, t in below))
        case Apply(operator, (argument,)) if operator.name == "neg" and deepest:
            return tuple((-c, t) for c, t in linear(argument, deepest - 1))
        case Apply(operator, _) if operator.name in PRODUCTS:
            return (split(expr),)
    return ((Fraction(1), expr),)


@lru_cache(maxsize=4096)
def split(expr: Expr, deepest: int = DEEPEST) -> Term:
    """The constant coefficient of a product, and the rest in the order it is in.

    The order says what overflows: x/y/y may be finite where x/(y*y) is not.
    """
    match expr:
        case Constant(value) if value:
            return Fraction(value), ONE
        case Apply(operator, (argument,)) if operator.name in PRODUCTS and deepest:
            coefficient, rest = split(argument, deepest - 1)
            if operator.name == "neg":
                return -coefficient, rest
            return 1 / coefficient, rest if rest == ONE else _plain("reciprocal", (rest,))
        case Apply(operator, (left, right)) if operator.name in PRODUCTS and deepest:
            coefficient, rest = split(left, deepest - 1)
            other, more = split(right, deepest - 1)
            if operator.name == "mul":
                whole = more if rest == ONE else rest
                if rest != ONE and more != ONE:
                    whole = _plain("mul", (rest, more))
                return coefficient * other, whole
            if more == ONE:
                return coefficient / other, rest
            if rest == ONE:
                return coefficient / other, _plain("reciprocal", (more,))
            return coefficient / other, _plain("div", (rest, more))
    return Fraction(1), expr


@lru_cache(maxsize=4096)
def product(expr: Expr, deepest: int = DEEPEST) -> tuple[Fraction, tuple[Factor, ...]]:
    """The constant coefficient and the other factors of a product, from left to right."""
    match expr:
        case Constant(value) if value:
            return Fraction(value), ()
        case Apply(operator, arguments) if operator.name in PRODUCTS and deepest:
            coefficient, factors = product(arguments[0], deepest - 1)
            if operator.name == "neg":
                return -coefficient, factors
            if operator.name == "reciprocal":
                return 1 / coefficient, _inverted(factors)
            other, more = product(arguments[1], deepest - 1)
            if operator.name == "mul":
                return coefficient * other, factors + more
            return coefficient / other, factors + _inverted(more)
    return Fraction(1), ((expr, 1),)


def _inverted(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    return tuple((factor, -exponent) for factor, exponent in factors)


def _plain(name: str, arguments: tuple[Expr, ...]) -> Expr:
    return Apply(OPERATORS[name], arguments)


def build_sum(terms: Sequence[Term], make: Maker = _plain) -> Expr:
    """The sum of the terms, which are not empty; a positive term is moved to the front.

    Raises:
        InexactError: a coefficient is not a float.
    """
    ordered = [t for t in terms if t[0]]
    if not ordered:
        return Constant(0.0)
    first = next((i for i, (c, _) in enumerate(ordered) if c > 0), 0)
    ordered.insert(0, ordered.pop(first))
    coefficient, term = ordered[0]
    total = _scaled(coefficient, term, make)
    for coefficient, term in ordered[1:]:
        name = "add" if coefficient > 0 else "sub"
        total = make(name, (total, _scaled(abs(coefficient), term, make)))
    return total


def _scaled(coefficient: Fraction, term: Expr, make: Maker) -> Expr:
    return build_product(coefficient, [] if term == ONE else [(term, 1)], make)


def build_product(coefficient: Fraction, factors: Sequence[Factor], make: Maker = _plain) -> Expr:
    """The product, as one quotient at most.

    Raises:
        InexactError: neither the coefficient nor its inverse is a float.
    """
    above = [factor for factor, exponent in factors if exponent > 0]
    below = [factor for factor, exponent in factors if exponent < 0]
    size, negative = abs(coefficient), coefficient < 0
    if not above or (size != 1 and _is_float(size)):
        if size == 1 or _is_float(size):
            # The sign goes into the constant where there is one.
            above.insert(0, Constant(float(-size if negative else size)))
            negative = False
        else:
            above.insert(0, ONE)
            below.insert(0, Constant(_float(1 / size)))
    elif size != 1:
        below.insert(0, Constant(_float(1 / size)))
    numerator = _multiplied(above, make)
    if negative:
        numerator = make("neg", (numerator,))
    if not below:
        return numerator
    denominator = _multiplied(below, make)
    if numerator == ONE:
        return make("reciprocal", (denominator,))
    return make("div", (numerator, denominator))


def _multiplied(factors: Sequence[Expr], make: Maker) -> Expr:
    total = factors[0]
    for factor in factors[1:]:
        total = make("mul", (total, factor))
    return total


def _is_float(value: Fraction) -> bool:
    return 1 / _LARGEST <= value <= _LARGEST and Fraction(float(value)) == value


def _float(value: Fraction) -> float:
    if not _is_float(value):
        raise InexactError(f"{value} is not a float")
    return float(value)
