"""Slopes and logarithmic slopes of smooth expressions, in a short and stable form."""

from __future__ import annotations

import math
from functools import lru_cache

from ..differentiate import derivative
from ..expr import Apply, Constant, Expr, Input, substitute
from ..parse import parse
from .algebra import ZERO, factored, plus, quotient, simplified, times

# Of operators that underflow: their logarithm and its slope, of the argument, in closed form.
_LOGARITHMS = {
    name: (parse(logarithm), parse(slope))
    for name, logarithm, slope in (
        ("exp", "x", "1"),
        ("gaussian", "-square(x)", "-2*x"),
        ("sigmoid", "log_sigmoid(x)", "sigmoid(-x)"),
        (
            "sech_squared",
            f"{2 * math.log(2)!r} - softplus(2*x) - softplus(-2*x)",
            "-2*tanh(x)",
        ),
        ("cosh", f"0.5*(softplus(2*x) + softplus(-2*x)) - {math.log(2)!r}", "tanh(x)"),
    )
}


@lru_cache(maxsize=1024)
def slope(expr: Expr) -> Expr:
    """The derivative by x, collected.

    Raises:
        DerivativeError: an operator has none in closed form.
    """
    return simplified(derivative(simplified(expr)))


@lru_cache(maxsize=1024)
def logarithmic_slope(expr: Expr) -> Expr:
    """(ln |expr|)', without a quotient of what underflows; 0 where the expression is 0.

    Raises:
        DerivativeError: as of `slope`.
    """
    coefficient, powers = factored(simplified(expr))
    if coefficient == 0:
        return ZERO
    return plus(
        *(times(Constant(float(power)), _of_factor(factor)) for factor, power in powers.items())
    )


@lru_cache(maxsize=1024)
def logarithm(expr: Expr) -> Expr:
    """ln |expr|, also where the expression underflows."""
    coefficient, powers = factored(simplified(expr))
    if coefficient == 0:
        raise ValueError("0 has no logarithm")
    parts: list[Expr] = [Constant(math.log(abs(coefficient)))]
    for factor, power in powers.items():
        if isinstance(factor, Apply) and factor.operator.name in _LOGARITHMS:
            own = _at(_LOGARITHMS[factor.operator.name][0], factor.arguments[0])
        else:
            own = _at(parse("log(abs(x))"), factor)
        parts.append(times(Constant(float(power)), own))
    return plus(*parts)


def _of_factor(factor: Expr) -> Expr:
    if isinstance(factor, Apply) and factor.operator.name in _LOGARITHMS:
        (argument,) = factor.arguments
        own = _at(_LOGARITHMS[factor.operator.name][1], argument)
        return times(simplified(own), slope(argument))
    return quotient(slope(factor), factor)


def _at(expr: Expr, argument: Expr) -> Expr:
    return substitute(expr, {Input("x"): argument})
