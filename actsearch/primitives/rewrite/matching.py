"""Patterns in expressions, whatever the order and the sign of terms and factors.

A pattern is an expression over the inputs `a` and `b`, which stand for any expression, and `k`,
which stands for a positive constant. An input that is met again must stand for the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache

from ..expr import Apply, Constant, Expr, Input
from .views import (
    ONE,
    PRODUCTS,
    SUMS,
    Factor,
    InexactError,
    Term,
    build_product,
    build_sum,
    linear,
    product,
)

CONSTANT_NAME = "k"
_SYMMETRIC = frozenset(("max", "min", "logaddexp"))
Bound = Mapping[str, Expr]


def match(pattern: Expr, expr: Expr, bound: Bound) -> Iterator[Bound]:
    """Every way in which the pattern is the expression, as what its inputs stand for."""
    if isinstance(pattern, Input):
        yield from _bind(pattern.name, expr, bound)
    elif isinstance(pattern, Constant):
        if pattern == expr:
            yield bound
    elif isinstance(pattern, Apply) and isinstance(expr, Apply):
        name = pattern.operator.name
        if name in SUMS:
            for found, ratio, left in match_sum(pattern, expr, bound):
                if ratio == 1 and not left:
                    yield found
        elif name in PRODUCTS:
            for found, ratio, over in match_product(pattern, expr, bound):
                if ratio == 1 and not over:
                    yield found
        elif name == expr.operator.name:
            yield from _match_all(pattern.arguments, expr.arguments, bound)
            if name in _SYMMETRIC:
                yield from _match_all(pattern.arguments, expr.arguments[::-1], bound)


def _bind(name: str, expr: Expr, bound: Bound) -> Iterator[Bound]:
    if name in bound:
        if bound[name] == expr:
            yield bound
    elif name != CONSTANT_NAME or (isinstance(expr, Constant) and expr.value > 0):
        yield {**bound, name: expr}


def _match_all(patterns: Sequence[Expr], exprs: Sequence[Expr], bound: Bound) -> Iterator[Bound]:
    if not patterns:
        yield bound
        return
    for found in match(patterns[0], exprs[0], bound):
        yield from _match_all(patterns[1:], exprs[1:], found)


def match_sum(
    pattern: Expr, expr: Expr, bound: Bound
) -> Iterator[tuple[Bound, Fraction, tuple[Term, ...]]]:
    """Ways in which the expression is `ratio` times the pattern plus the terms that are left.

    An input of the pattern that stands for nothing yet takes all that is left.
    """
    yield from _sum(_pattern_terms(pattern), linear(expr), bound, None)


def match_product(
    pattern: Expr, expr: Expr, bound: Bound
) -> Iterator[tuple[Bound, Fraction, tuple[Factor, ...]]]:
    """Ways in which the expression is `ratio` times the pattern times the factors left over."""
    wanted, coefficient = _pattern_factors(pattern)
    given, factors = product(expr)
    # `erfc(x)` is no better as an `erfc(0.7071*a)` with a = x/0.7071, so only 1, 2 and 1/2 may be
    # drawn out of what an input stands for.
    if abs(given) == abs(coefficient) or abs(coefficient) in (1, 2, Fraction(1, 2)):
        yield from _product(wanted, factors, bound, given / coefficient)


@cache
def _pattern_terms(pattern: Expr) -> tuple[Term, ...]:
    """What fixes the ratio stands first; inputs, which may take the rest, stand last."""

    def rank(term: Term) -> int:
        return 2 if isinstance(term[1], Input) else 1 if term[1] == ONE else 0

    return tuple(sorted(linear(pattern), key=rank))


@cache
def _pattern_factors(pattern: Expr) -> tuple[tuple[Factor, ...], Fraction]:
    coefficient, factors = product(pattern)
    return tuple(sorted(factors, key=lambda f: isinstance(f[0], Input))), coefficient


def _without(items: tuple, index: int) -> tuple:
    return items[:index] + items[index + 1 :]


def _sum(
    wanted: Sequence[Term], terms: tuple[Term, ...], bound: Bound, ratio: Fraction | None
) -> Iterator[tuple[Bound, Fraction, tuple[Term, ...]]]:
    if not wanted:
        yield bound, Fraction(1) if ratio is None else ratio, terms
        return
    (coefficient, term), rest = wanted[0], wanted[1:]
    if isinstance(term, Input) and term.name not in bound and term.name != CONSTANT_NAME:
        ratio = Fraction(1) if ratio is None else ratio
        if terms:
            try:
                taken = build_sum([(c / (ratio * coefficient), t) for c, t in terms])
            except InexactError:
                return
            yield from _sum(rest, (), {**bound, term.name: taken}, ratio)
    elif isinstance(term, Input) and term.name in bound:
        for found, left in _taken(linear(bound[term.name]), coefficient, terms, ratio):
            yield from _sum(rest, left, bound, found)
    else:
        for index, (given, candidate) in enumerate(terms):
            if isinstance(term, Input):
                if candidate != ONE or ratio is None:
                    continue
                ways: Iterator[Bound] = _constant(term.name, given / (ratio * coefficient), bound)
                found = ratio
            else:
                found = given / coefficient
                if not found or (ratio is not None and found != ratio):
                    continue
                ways = match(term, candidate, bound)
            for way in ways:
                yield from _sum(rest, _without(terms, index), way, found)


def _constant(name: str, value: Fraction, bound: Bound) -> Iterator[Bound]:
    if Fraction(float(value)) == value:
        yield from _bind(name, Constant(float(value)), bound)


def _taken(
    parts: Sequence[Term], coefficient: Fraction, terms: tuple[Term, ...], ratio: Fraction | None
) -> Iterator[tuple[Fraction, tuple[Term, ...]]]:
    """The ratio, and the terms without `ratio * coefficient * parts`, if all of these are there."""
    for part, term in parts:
        index = next((i for i, (_, t) in enumerate(terms) if t == term), None)
        if index is None or not part:
            return
        found = terms[index][0] / (coefficient * part)
        if not found or (ratio is not None and found != ratio):
            return
        ratio, terms = found, _without(terms, index)
    assert ratio is not None
    yield ratio, terms


def _product(
    wanted: Sequence[Factor], factors: tuple[Factor, ...], bound: Bound, ratio: Fraction
) -> Iterator[tuple[Bound, Fraction, tuple[Factor, ...]]]:
    if not wanted:
        yield bound, ratio, factors
        return
    (factor, exponent), rest = wanted[0], wanted[1:]
    if isinstance(factor, Input) and factor.name not in bound:
        if wanted.count(wanted[0]) > 1:
            for index, (candidate, given) in enumerate(factors):
                if given == exponent:
                    for found in _bind(factor.name, candidate, bound):
                        yield from _product(rest, _without(factors, index), found, ratio)
            return
        try:
            taken = build_product(ratio, factors)
        except InexactError:
            return
        # A factor of 1 that is not written would be found for ever.
        if exponent == 1 and taken != ONE:
            for found in _bind(factor.name, taken, bound):
                yield from _product(rest, (), found, Fraction(1))
    elif isinstance(factor, Input):
        part, parts = product(bound[factor.name])
        left = factors
        for inner, inner_exponent in parts:
            if (inner, inner_exponent * exponent) not in left:
                return
            left = _without(left, left.index((inner, inner_exponent * exponent)))
        yield from _product(rest, left, bound, ratio / part**exponent)
    else:
        for index, (candidate, given) in enumerate(factors):
            if given != exponent:
                continue
            left = _without(factors, index)
            if isinstance(factor, Apply) and factor.operator.name in SUMS:
                for found, scale, terms in match_sum(factor, candidate, bound):
                    if not terms:
                        yield from _product(rest, left, found, ratio * scale**exponent)
            else:
                for way in match(factor, candidate, bound):
                    yield from _product(rest, left, way, ratio)
