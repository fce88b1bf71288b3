"""Where operators switch from one smooth formula to another, and which formulas these are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...expr import Constant, Expr
from ...sources import PROTECTION
from .building import add, call, constant, divide, multiply, negative, subtract

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
LARGEST_STEP = 24
"""`round` is taken apart between -24.5 and 24.5; the grey levels of 8 bits are not."""


@dataclass(frozen=True)
class Switch:
    """One operator that is not smooth everywhere.

    Args:
        at: expressions of the arguments whose zeros are the places.
        on: the operator on one side, a smooth expression; given the arguments and the values that
            the expressions of `at` have there.
    """

    at: Callable[..., tuple[Expr, ...]]
    on: Callable[[tuple[Expr, ...], Sequence[float]], Expr]


def _itself(name: str) -> Callable[[tuple[Expr, ...], Sequence[float]], Expr]:
    return lambda arguments, _: call(name, *arguments)


def _argument(a: Expr) -> tuple[Expr, ...]:
    return (a,)


def _difference(a: Expr, b: Expr) -> tuple[Expr, ...]:
    return (subtract(a, b),)


def _size(a: Expr, side: float) -> Expr:
    return a if side >= 0 else negative(a)


def _signed_sqrt(arguments: tuple[Expr, ...], at: Sequence[float]) -> Expr:
    if at[0] == 0:
        return constant(0)
    root = call("sqrt", _size(arguments[0], at[0]))
    return root if at[0] > 0 else negative(root)


def _elu(a: Expr, side: float) -> Expr:
    return a if side >= 0 else call("expm1", a)


def _selu(a: Expr, side: float) -> Expr:
    inner = a if side >= 0 else multiply(constant(_SELU_ALPHA), call("expm1", a))
    return multiply(constant(_SELU_SCALE), inner)


def _hard_sigmoid(a: Expr, low: float, high: float) -> Expr:
    if low <= 0:
        return constant(0)
    return add(multiply(constant(0.2), a), constant(0.5)) if high < 0 else constant(1)


def _rounded(arguments: tuple[Expr, ...], at: Sequence[float]) -> Expr:
    value = at[0] - LARGEST_STEP - 0.5
    if not abs(value) < LARGEST_STEP + 0.5:
        return call("round", arguments[0])
    return constant(round(value))


def _steps(a: Expr) -> tuple[Expr, ...]:
    edges = range(-LARGEST_STEP, LARGEST_STEP + 2)
    return tuple(subtract(a, constant(edge - 0.5)) for edge in edges)


def _power_edges(base: Expr, exponent: Expr) -> tuple[Expr, ...]:
    if isinstance(exponent, Constant) and exponent.value >= 0 and exponent.value.is_integer():
        return ()
    return (base,)


SWITCHES: dict[str, Switch] = {
    "abs": Switch(_argument, lambda a, at: _size(a[0], at[0])),
    "sign": Switch(_argument, lambda a, at: constant(_sign(at[0]))),
    "step": Switch(_argument, lambda a, at: constant((_sign(at[0]) + 1) / 2)),
    "relu": Switch(_argument, lambda a, at: a[0] if at[0] > 0 else constant(0)),
    "round": Switch(_steps, _rounded),
    "signed_sqrt": Switch(_argument, _signed_sqrt),
    "protected_log": Switch(
        _argument, lambda a, at: call("log", add(_size(a[0], at[0]), constant(PROTECTION)))
    ),
    "hard_sigmoid_keras2": Switch(
        lambda a: (add(a, constant(2.5)), subtract(a, constant(2.5))),
        lambda a, at: _hard_sigmoid(a[0], at[0], at[1]),
    ),
    "softsign": Switch(_argument, lambda a, at: divide(a[0], add(constant(1), _size(a[0], at[0])))),
    "elu": Switch(_argument, lambda a, at: _elu(a[0], at[0])),
    "selu": Switch(_argument, lambda a, at: _selu(a[0], at[0])),
    "max": Switch(_difference, lambda a, at: a[0] if at[0] >= 0 else a[1]),
    "min": Switch(_difference, lambda a, at: a[1] if at[0] >= 0 else a[0]),
    "greater": Switch(_difference, lambda a, at: constant((_sign(at[0]) + 1) / 2)),
    "surrogate": Switch(lambda a, b: (), lambda a, at: a[0]),
    # The same formula on both sides, but not smooth between.
    **{
        name: Switch(_argument, _itself(name))
        for name in (
            *("sqrt", "reciprocal", "log"),
            *("bessel_i0e", "bessel_i1e", "bessel_i0e_slope", "bessel_i1e_slope"),
        )
    },
    "log1p": Switch(lambda a: (add(constant(1), a),), _itself("log1p")),
    "div": Switch(lambda a, b: (b,), _itself("div")),
    "protected_div": Switch(lambda a, b: (add(b, constant(PROTECTION)),), _itself("protected_div")),
    "pow": Switch(_power_edges, _itself("pow")),
}

SMOOTH = frozenset(
    (
        *("neg", "square", "cube", "exp", "expm1", "gaussian", "softplus", "log_sigmoid"),
        *("log_cosh", "sin", "cos", "sinc", "sinc_slope", "sinh", "cosh", "tanh", "sech_squared"),
        *("tanh_shrink", "asinh", "atan", "sigmoid", "erf", "erfc", "normal_cdf"),
        *("add", "sub", "mul", "analytic_quotient", "logaddexp", "chain"),
    )
)
"""Operators that are analytic on the whole line, or plane."""


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0
