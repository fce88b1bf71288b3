"""Core units b(u1, u2) composed up to three deep, of Searching for Activation Functions.

The first unit reads x twice; a later one reads, on each side, x or any earlier unit. The last
unit's output is the activation. Ramachandran et al. 2017, arXiv:1710.05941, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ...errors import ConfigError
from ..expr import Expr, Input, Parameter, Scope, parameters, substitute
from ..operators import did_you_mean
from ..parse import parse
from .space import Choose

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
OPERATOR_SETS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "swish-2017": (_SWISH_UNARY, _SWISH_BINARY),
    "pangaea-2022": (_PANGAEA_UNARY, _PANGAEA_BINARY),
}
MAX_UNITS = 3


@dataclass(frozen=True)
class UnaryBinary:
    """The space of up to `units` core units.

    Args:
        units: most core units, 1 to 3.
        operators: `swish-2017` (25 unary, 10 binary) or `pangaea-2022` (27 and 7).
        beta_scope: whether a trainable beta is one number per channel, as in the paper, or per
            tensor.

    Raises:
        ConfigError: a setting is out of range.
    """

    units: int = 2
    operators: str = "swish-2017"
    beta_scope: str = "channel"
    name = "unary-binary"

    def __post_init__(self) -> None:
        if not 1 <= self.units <= MAX_UNITS:
            raise ConfigError(f"space units={self.units} must be 1 to {MAX_UNITS}")
        if self.operators not in OPERATOR_SETS:
            raise ConfigError(
                f"unknown operator set '{self.operators}'"
                f"{did_you_mean(self.operators, OPERATOR_SETS)}; there are "
                f"{', '.join(OPERATOR_SETS)}"
            )
        if self.beta_scope not in set(Scope):
            raise ConfigError(f"beta_scope='{self.beta_scope}' must be channel or tensor")

    @property
    def size(self) -> int:
        """Sum over n up to `units` of the product over i up to n of i^2 unary^2 binary."""
        unary, binary = OPERATOR_SETS[self.operators]
        one_unit = len(unary) ** 2 * len(binary)
        return sum(
            math.prod(i * i * one_unit for i in range(1, n + 1)) for n in range(1, self.units + 1)
        )

    def build(self, choose: Choose) -> Expr:
        """Ask for the number of units, then for each unit's operators and inputs."""
        unary, binary = OPERATOR_SETS[self.operators]
        count = int(choose("units", [str(n) for n in range(1, self.units + 1)]))
        available: dict[str, Expr] = {"x": Input("x")}
        for i in range(1, count + 1):
            unit = f"unit{i}"
            outer = self._option(choose(f"{unit}.binary", binary), f"{unit}_binary")
            sides = []
            for side in ("left", "right"):
                inner = self._option(choose(f"{unit}.{side}", unary), f"{unit}_{side}")
                read = choose(f"{unit}.{side}.input", list(available)) if i > 1 else "x"
                sides.append(substitute(inner, {Input("x"): available[read]}))
            available[unit] = substitute(outer, {Input("x"): sides[0], Input("y"): sides[1]})
        return _with_short_names(available[f"unit{count}"])

    def _option(self, text: str, position: str) -> Expr:
        """The option with its own trainable parameter, if it has one, named by position."""
        template = _template(text)
        scope = Scope(self.beta_scope)
        own = {p: Parameter(f"{p.name}_{position}", p.initial, scope) for p in parameters(template)}
        return substitute(template, own)


@cache
def _template(text: str) -> Expr:
    return parse(text, input_names=("x", "y"))


def _with_short_names(expr: Expr) -> Expr:
    """Parameters renamed beta, beta2, ... in order of appearance, whatever their position was."""
    renamed = {
        parameter: Parameter(
            "beta" if number == 1 else f"beta{number}", parameter.initial, parameter.scope
        )
        for number, parameter in enumerate(parameters(expr), start=1)
    }
    return substitute(expr, renamed)
