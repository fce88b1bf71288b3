"""The table of rewrites.

Both sides of a rule are equal as real functions wherever the left one is defined, its limits
included (`sin(x)/x` at 0 becomes `sinc(x)`), and have the same midpoint slope at kinks. `a` and
`b` stand for any expressions, `k` for a positive constant. Order and signs of terms and factors
do not matter, a sum also matches up to a factor (`0.5 + 0.5*tanh(a)` has the rule of
`1 + tanh(a)`), and what else stands in the sum or product is kept. Of several rules that match,
the one with the largest pattern is used, and of those the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..expr import Expr
from ..parse import parse

_NAMES = ("a", "b", "k")
_HALF_ROOT = f"{math.sqrt(0.5)!r}*a"
_OVER_ROOT = f"a/{math.sqrt(2)!r}"


@dataclass(frozen=True, repr=False)
class Rule:
    """Replace what `naive` matches by `better`."""

    naive: Expr
    better: Expr

    def __repr__(self) -> str:
        return f"{self.naive} -> {self.better}"


_LOGARITHMS = (
    ("log(1 + exp(a))", "softplus(a)"),
    ("log(exp(a) + exp(b))", "logaddexp(a, b)"),
    ("log(exp(a) + k)", "logaddexp(a, log(k))"),
    ("log(2 - exp(a))", "log1p(-expm1(a))"),
    ("log(1 + a)", "log1p(a)"),
    ("log(exp(a))", "a"),
    ("log(sigmoid(a))", "log_sigmoid(a)"),
    ("log(cosh(a))", "log_cosh(a)"),
    ("log(2*cosh(a))", "0.5*(softplus(2*a) + softplus(-2*a))"),
    # The factor that is positive leaves the logarithm, before it can overflow.
    ("log(b*(1 + exp(a)))", "log(b) + softplus(a)"),
    ("log(b*exp(a))", "log(b) + a"),
    ("log(b*sigmoid(a))", "log(b) + log_sigmoid(a)"),
    ("log(b*cosh(a))", "log(b) + log_cosh(a)"),
    ("log1p(exp(a))", "softplus(a)"),
    ("log1p(expm1(a))", "a"),
    ("log1p(-sigmoid(a))", "log_sigmoid(-a)"),
)

_EXPONENTIALS = (
    ("exp(a) - 1", "expm1(a)"),
    ("exp(a)*exp(b)", "exp(a + b)"),
    ("exp(a)/exp(b)", "exp(a - b)"),
    ("1/exp(a)", "exp(-a)"),
    ("square(exp(a))", "exp(2*a)"),
    ("sqrt(exp(a))", "exp(a/2)"),
    ("sqrt(1 + exp(a))", "exp(softplus(a)/2)"),
    ("(1 + exp(a))^b", "exp(b*softplus(a))"),
    ("exp(a)^b", "exp(a*b)"),
    ("exp(a) - exp(-a)", "2*sinh(a)"),
    ("exp(a) + exp(-a)", "2*cosh(a)"),
    ("cosh(a) - 1", "2*square(sinh(a/2))"),
    ("exp(log_sigmoid(a))", "sigmoid(a)"),
    ("exp(-softplus(a))", "sigmoid(-a)"),
    ("expm1(softplus(a))", "exp(a)"),
    ("expm1(-softplus(a))", "-sigmoid(a)"),
    ("softplus(a) - a", "softplus(-a)"),
    ("log_sigmoid(a) - a", "-softplus(a)"),
)

_SIGMOIDS = (
    ("exp(a)/(1 + exp(a))", "sigmoid(a)"),
    ("1/(1 + exp(a))", "sigmoid(-a)"),
    ("exp(a)/(exp(a) + exp(b))", "sigmoid(a - b)"),
    ("exp(a)/(exp(a) + k)", "sigmoid(a - log(k))"),
    ("1/(exp(a) + k)", "sigmoid(log(k) - a)/k"),
    ("exp(a)*sigmoid(-a)", "sigmoid(a)"),
    ("sigmoid(a)/exp(a)", "sigmoid(-a)"),
    ("1 - sigmoid(a)", "sigmoid(-a)"),
    ("2*sigmoid(a) - 1", "tanh(a/2)"),
    ("sigmoid(a) - sigmoid(-a)", "tanh(a/2)"),
)

_HYPERBOLIC = (
    ("expm1(a)/(1 + exp(a))", "tanh(a/2)"),
    ("(exp(a) - exp(b))/(exp(a) + exp(b))", "tanh(a/2 - b/2)"),
    ("sinh(a)/cosh(a)", "tanh(a)"),
    ("a - tanh(a)", "tanh_shrink(a)"),
    ("1/square(cosh(a))", "sech_squared(a)"),
    ("1 + tanh(a)", "2*sigmoid(2*a)"),
    ("1 - tanh(a)", "2*sigmoid(-2*a)"),
    ("exp(a)/cosh(a)", "2*sigmoid(2*a)"),
    ("1 - square(tanh(a))", "sech_squared(a)"),
    ("1 - sech_squared(a)", "square(tanh(a))"),
    # tanh(log(1 + exp(a))) with both exponentials written out.
    ("(exp(2*a) + 2*exp(a))/(exp(2*a) + 2*exp(a) + 2)", "tanh(softplus(a))"),
)

_ERROR_FUNCTIONS = (
    ("1 - erf(a)", "erfc(a)"),
    ("1 + erf(a)", "erfc(-a)"),
    ("1 - erfc(a)", "erf(a)"),
    ("2 - erfc(a)", "erfc(-a)"),
    (f"erfc(-{_HALF_ROOT})", "2*normal_cdf(a)"),
    (f"erfc(-{_OVER_ROOT})", "2*normal_cdf(a)"),
    ("1 - normal_cdf(a)", "normal_cdf(-a)"),
    ("2*normal_cdf(a) - 1", f"erf({_HALF_ROOT})"),
)

_ALGEBRAIC = (
    ("a*a", "square(a)"),
    ("square(a)*a", "cube(a)"),
    ("a^1", "a"),
    ("a^2", "square(a)"),
    ("a^3", "cube(a)"),
    ("a^0.5", "sqrt(a)"),
    ("a^(-0.5)", "1/sqrt(a)"),
    ("a^(-1)", "1/a"),
    ("a^(-2)", "1/square(a)"),
    ("sqrt(square(a))", "abs(a)"),
    ("b/sqrt(1 + square(a))", "analytic_quotient(b, a)"),
    ("1/sqrt(1 + square(a))", "analytic_quotient(1, a)"),
    # The slope of a/sqrt(1 + a^2).
    (
        "analytic_quotient(1, a) - analytic_quotient(1, a)*square(analytic_quotient(a, a))",
        "cube(analytic_quotient(1, a))",
    ),
    ("sqrt(square(a) + k) + a", "2*relu(a) + k/(sqrt(square(a) + k) + abs(a))"),
    ("sqrt(square(a) + k) - a", "2*relu(-a) + k/(sqrt(square(a) + k) + abs(a))"),
    ("sqrt(square(a) + 1) - 1", "a*tanh(asinh(a)/2)"),
    (
        "1 + analytic_quotient(a, a)",
        "2*relu(analytic_quotient(a, a)) + analytic_quotient(1, a)/(sqrt(1 + square(a)) + abs(a))",
    ),
    (
        "1 - analytic_quotient(a, a)",
        "2*relu(-analytic_quotient(a, a)) + analytic_quotient(1, a)/(sqrt(1 + square(a)) + abs(a))",
    ),
    ("a/(1 + abs(a))", "softsign(a)"),
    ("1 + softsign(a)", "1/(1 + abs(a)) + 2*relu(softsign(a))"),
    ("1 - softsign(a)", "1/(1 + abs(a)) + 2*relu(softsign(-a))"),
)

# In a branch that is not taken, the exponential must not overflow: 0 * inf.
_BRANCHES = (
    ("min(a, 0)*exp(a)", "min(a, 0)*exp(min(a, 0))"),
    ("relu(a)*exp(-a)", "relu(a)*exp(-relu(a))"),
    ("step(a)*exp(-a)", "step(a)*exp(-relu(a))"),
    ("step(a)*expm1(-a)", "step(a)*expm1(-relu(a))"),
)

# sign has slope 0 at 0, where these odd functions have another.
_ODD = (
    ("sign(a)*abs(a)", "a"),
    ("sign(a)*sqrt(abs(a))", "signed_sqrt(a)"),
    ("sign(a)*log1p(abs(a))", "log1p(relu(a)) - log1p(relu(-a))"),
    ("sign(a)*expm1(abs(a))", "expm1(relu(a)) - expm1(relu(-a))"),
)

_TRIGONOMETRIC = (
    ("sin(a)/a", "sinc(a)"),
    ("1 - cos(a)", "2*square(sin(a/2))"),
    ("1 - square(cos(a))", "square(sin(a))"),
    ("1 - square(sin(a))", "square(cos(a))"),
    ("pi/2 + atan(a)", "2*atan(a + sqrt(1 + square(a)))"),
    ("pi/2 - atan(a)", "2*atan(sqrt(1 + square(a)) - a)"),
    ("0.5 + atan(a)/pi", "2*atan(a + sqrt(1 + square(a)))/pi"),
    ("0.5 - atan(a)/pi", "2*atan(sqrt(1 + square(a)) - a)/pi"),
    (f"0.5 + {1 / math.pi!r}*atan(a)", f"{2 / math.pi!r}*atan(a + sqrt(1 + square(a)))"),
    (f"0.5 - {1 / math.pi!r}*atan(a)", f"{2 / math.pi!r}*atan(sqrt(1 + square(a)) - a)"),
)

RULES = tuple(
    Rule(parse(naive, input_names=_NAMES), parse(better, input_names=_NAMES))
    for naive, better in (
        *_LOGARITHMS,
        *_EXPONENTIALS,
        *_SIGMOIDS,
        *_HYPERBOLIC,
        *_ERROR_FUNCTIONS,
        *_ALGEBRAIC,
        *_BRANCHES,
        *_ODD,
        *_TRIGONOMETRIC,
    )
)
