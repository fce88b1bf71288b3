"""Operators of the published searches, as formulas that a space puts together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from ...errors import ConfigError
from ..expr import Expr, Input, Parameter, Scope, parameters, substitute
from ..operators import did_you_mean
from ..parse import parse

_X, _Y = Input("x"), Input("y")
# Options are formulas over the unit's arguments. The paper gives neither the start of beta nor an
# epsilon, and prints sqrt(x) unguarded: beta starts at 1 (1/2 in the mixture, which would start
# as its first argument alone), and signed_sqrt and the protected operators say what is computed.
_SWISH_UNARY = (
    "x",
    "neg(x)",
    "abs(x)",
    "square(x)",
    "cube(x)",
    "signed_sqrt(x)",
    "mul(beta[1], x)",
    "add(x, beta[1])",
    "beta[1]",
    "protected_log(x)",
    "exp(x)",
    "gaussian(x)",
    "softplus(x)",
    "sin(x)",
    "cos(x)",
    "sinc(x)",
    "sinh(x)",
    "cosh(x)",
    "tanh(x)",
    "asinh(x)",
    "atan(x)",
    "relu(x)",
    "min(x, 0)",
    "sigmoid(x)",
    "erf(x)",
)
_SWISH_BINARY = (
    "add(x, y)",
    "mul(x, y)",
    "sub(x, y)",
    "protected_div(x, y)",
    "max(x, y)",
    "min(x, y)",
    "mul(sigmoid(x), y)",
    "exp(neg(mul(beta[1], square(sub(x, y)))))",
    "exp(neg(mul(beta[1], abs(sub(x, y)))))",
    "add(mul(beta[0.5], x), mul(sub(1, beta), y))",
)
# Bingham and Miikkulainen 2022, arXiv:2006.03179; no guards, as published.
_PANGAEA_UNARY = (
    "0",
    "1",
    "x",
    "neg(x)",
    "abs(x)",
    "reciprocal(x)",
    "square(x)",
    "exp(x)",
    "erf(x)",
    "erfc(x)",
    "sinh(x)",
    "cosh(x)",
    "tanh(x)",
    "expm1(x)",
    "sigmoid(x)",
    "log_sigmoid(x)",
    "asinh(x)",
    "atan(x)",
    "bessel_i0e(x)",
    "bessel_i1e(x)",
    "relu(x)",
    "elu(x)",
    "selu(x)",
    "mul(x, sigmoid(x))",
    "softplus(x)",
    "softsign(x)",
    "hard_sigmoid_keras2(x)",
)
_PANGAEA_BINARY = (
    "add(x, y)",
    "sub(x, y)",
    "mul(x, y)",
    "div(x, y)",
    "pow(x, y)",
    "max(x, y)",
    "min(x, y)",
)
# Bingham, Macke and Miikkulainen 2020, arXiv:2002.07224; both lists from memory. sqrt(x) is
# unguarded there too, log(abs(x + epsilon)) is taken as the protected logarithm.
_GECCO_UNARY = (
    "0",
    "1",
    "x",
    "neg(x)",
    "abs(x)",
    "square(x)",
    "cube(x)",
    "signed_sqrt(x)",
    "exp(x)",
    "gaussian(x)",
    "softplus(x)",
    "protected_log(x)",
    "sin(x)",
    "sinh(x)",
    "asinh(x)",
    "cos(x)",
    "cosh(x)",
    "tanh(x)",
    "atan(x)",
    "relu(x)",
    "min(x, 0)",
    "sigmoid(x)",
    "erf(x)",
    "sinc(x)",
)
_GECCO_BINARY = (
    "add(x, y)",
    "sub(x, y)",
    "mul(x, y)",
    "protected_div(x, y)",
    "max(x, y)",
    "min(x, y)",
)


@dataclass(frozen=True)
class OperatorSet:
    """Options for one and for two arguments: formulas over x, and over x and y."""

    unary: tuple[str, ...]
    binary: tuple[str, ...]


OPERATOR_SETS: Mapping[str, OperatorSet] = {
    "swish-2017": OperatorSet(_SWISH_UNARY, _SWISH_BINARY),
    "pangaea-2022": OperatorSet(_PANGAEA_UNARY, _PANGAEA_BINARY),
    "gecco-2020": OperatorSet(_GECCO_UNARY, _GECCO_BINARY),
}


def operator_set(name: str) -> OperatorSet:
    """The set of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in OPERATOR_SETS:
        raise ConfigError(
            f"unknown operator set '{name}'{did_you_mean(name, OPERATOR_SETS)}; there are "
            f"{', '.join(OPERATOR_SETS)}"
        )
    return OPERATOR_SETS[name]


def check_scope(name: str) -> None:
    """Whether a trainable parameter can be of that scope.

    Raises:
        ConfigError: it cannot.
    """
    if name not in set(Scope):
        raise ConfigError(f"beta_scope='{name}' must be channel or tensor")


@lru_cache(maxsize=4096)
def filled(option: str, position: str, scope: Scope, x: Expr, y: Expr | None = None) -> Expr:
    """An option with its arguments; its trainable parameter, if it has one, named by position."""
    arguments: dict[Expr, Expr] = {_X: x} if y is None else {_X: x, _Y: y}
    return substitute(_template(option), _own(option, position, scope) | arguments)


def with_short_names(expr: Expr) -> Expr:
    """Parameters renamed beta, beta2, ... in order of appearance, whatever their position was."""
    renamed: dict[Expr, Expr] = {
        parameter: _named(
            "beta" if number == 1 else f"beta{number}", parameter.initial, parameter.scope
        )
        for number, parameter in enumerate(parameters(expr), start=1)
    }
    return substitute(expr, renamed) if renamed else expr


@cache
def _own(option: str, position: str, scope: Scope) -> dict[Expr, Expr]:
    return {
        p: _named(f"{p.name}_{position}", p.initial, scope) for p in parameters(_template(option))
    }


# Checking a name takes longer than all the rest of an option.
_named = cache(Parameter)


@cache
def _template(text: str) -> Expr:
    return parse(text, input_names=("x", "y"))
