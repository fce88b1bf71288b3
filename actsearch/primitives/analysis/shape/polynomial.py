"""Polynomials with rational coefficients, read off an expression without rounding."""

from __future__ import annotations

import math
from fractions import Fraction

from ...expr import Apply, Constant, Expr, Input, postorder
from ..figure import Figure

HIGHEST_DEGREE = 12
Polynomial = tuple[Fraction, ...]
"""Coefficients from the constant term up; the last one is not 0, and the zero polynomial is ()."""


def polynomial_of(expr: Expr) -> Polynomial | None:
    """The expression as a polynomial of its one input; None if it is none of degree <= 12.

    A constant counts as the decimal number that it is written as: 0.1 is one tenth.
    """
    known: dict[Expr, Polynomial | None] = {}
    for node in postorder(expr):
        match node:
            case Input():
                known[node] = (Fraction(0), Fraction(1))
            case Constant(value):
                known[node] = _trimmed([Fraction(repr(value))])
            case Apply(operator, arguments):
                parts = [known[a] for a in arguments]
                known[node] = (
                    None
                    if any(p is None for p in parts)
                    else _applied(operator.name, [p for p in parts if p is not None])
                )
            case _:
                known[node] = None
    return known[expr]


def _applied(name: str, parts: list[Polynomial]) -> Polynomial | None:
    match name, parts:
        case "neg", [a]:
            return tuple(-c for c in a)
        case "add", [a, b]:
            return _sum(a, b)
        case "sub", [a, b]:
            return _sum(a, tuple(-c for c in b))
        case (("mul" | "chain"), [a, b]):
            return _product(a, b)
        case "square", [a]:
            return _product(a, a)
        case "cube", [a]:
            square = _product(a, a)
            return None if square is None else _product(square, a)
        case "div", [a, (divisor,)]:
            return tuple(c / divisor for c in a)
        case "reciprocal", [(divisor,)]:
            return (1 / divisor,)
        case "pow", [a, ()]:
            return (Fraction(1),)
        case "pow", [a, (exponent,)] if exponent.denominator == 1 and 0 < exponent <= 12:
            power: Polynomial | None = (Fraction(1),)
            for _ in range(int(exponent)):
                power = None if power is None else _product(power, a)
            return power
    return None


def _trimmed(coefficients: list[Fraction]) -> Polynomial:
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    return tuple(coefficients)


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    size = max(len(a), len(b))
    zeros = (Fraction(0),) * size
    return _trimmed([x + y for x, y in zip((a + zeros)[:size], (b + zeros)[:size], strict=True)])


def _product(a: Polynomial, b: Polynomial) -> Polynomial | None:
    if len(a) + len(b) - 2 > HIGHEST_DEGREE:
        return None
    total = [Fraction(0)] * (len(a) + len(b))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            total[i + j] += x * y
    return _trimmed(total)


def slope_of(polynomial: Polynomial) -> Polynomial:
    """The derivative."""
    return tuple(n * c for n, c in enumerate(polynomial))[1:]


def value_at(polynomial: Polynomial, x: Fraction) -> Fraction:
    """The value, without rounding."""
    total = Fraction(0)
    for coefficient in reversed(polynomial):
        total = total * x + coefficient
    return total


def exact(value: Fraction) -> Figure:
    """A rational number as a figure; infinite where it is beyond float64."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    short = repr(number)
    is_decimal = len(short) < len(str(value)) and Fraction(short) == value
    return Figure(number, True, 0.0, short if is_decimal else str(value))


def real_roots(polynomial: Polynomial) -> list[Figure] | None:
    """Distinct real roots in ascending order; None where a factor of degree 3 or more is left
    after the roots at 0."""
    if polynomial and polynomial[0] == 0:
        rest = real_roots(polynomial[1:])
        if rest is None:
            return None
        zero = exact(Fraction(0))
        return sorted({zero, *rest}, key=lambda f: f.value)
    if len(polynomial) <= 1:
        return []
    if len(polynomial) == 2:
        return [exact(-polynomial[0] / polynomial[1])]
    if len(polynomial) > 3:
        return None
    c, b, a = polynomial
    middle, discriminant = -b / (2 * a), (b * b - 4 * a * c) / (4 * a * a)
    if discriminant < 0:
        return []
    root = _square_root(discriminant)
    if root is not None:
        return [exact(x) for x in sorted({middle - root, middle + root})]
    # The root nearer to 0 by Vieta, without cancellation.
    far = float(middle) + math.copysign(math.sqrt(discriminant), middle)
    near = float(c / a) / far
    text = f"{middle} " if middle else ""
    return [
        Figure(
            min(near, far),
            True,
            0.0,
            f"{text}- sqrt({discriminant})" if text else f"-sqrt({discriminant})",
        ),
        Figure(
            max(near, far),
            True,
            0.0,
            f"{text}+ sqrt({discriminant})" if text else f"sqrt({discriminant})",
        ),
    ]


def _square_root(value: Fraction) -> Fraction | None:
    above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
    found = Fraction(above, below)
    return found if found * found == value else None
