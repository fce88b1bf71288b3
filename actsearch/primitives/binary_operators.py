"""Operators of two arguments, one record each."""

from __future__ import annotations

import torch

from .growth import bounded, total, unbounded
from .lowering import functions
from .operator import Operator
from .sources import BOTH, CLASSICAL, PANGAEA, PROTECTION, SWISH

BINARY = (
    Operator("add", 2, "x + y", lambda sp, x, y: x + y, torch.add, ("1", "1"), max, BOTH, "+"),
    Operator("sub", 2, "x - y", lambda sp, x, y: x - y, torch.sub, ("1", "-1"), max, BOTH, "-"),
    Operator("mul", 2, "x y", lambda sp, x, y: x * y, torch.mul, ("y", "x"), total, BOTH, "*"),
    Operator(
        "div",
        2,
        "x/y",
        lambda sp, x, y: x / y,
        torch.div,
        ("reciprocal(y)", "neg(div(div(x, y), y))"),
        unbounded,
        PANGAEA,
        "/",
    ),
    Operator(
        "pow",
        2,
        "x^y",
        lambda sp, x, y: x**y,
        torch.pow,
        ("chain(y, pow(x, sub(y, 1)))", "chain(pow(x, y), log(x))"),
        unbounded,
        PANGAEA,
        "^",
    ),
    Operator(
        "max",
        2,
        "larger of x and y",
        lambda sp, x, y: sp.Max(x, y),
        torch.maximum,
        ("greater(x, y)", "greater(y, x)"),
        max,
        BOTH,
    ),
    Operator(
        "min",
        2,
        "smaller of x and y",
        lambda sp, x, y: sp.Min(x, y),
        torch.minimum,
        ("greater(y, x)", "greater(x, y)"),
        max,
        BOTH,
    ),
    Operator(
        "greater",
        2,
        "1 if x > y, 1/2 if equal, else 0",
        lambda sp, x, y: sp.Heaviside(x - y, sp.Rational(1, 2)),
        functions.greater,
        ("0", "0"),
        bounded,
        CLASSICAL,
    ),
    Operator(
        "protected_div",
        2,
        f"x/(y + {PROTECTION:g})",
        lambda sp, x, y: x / (y + PROTECTION),
        functions.protected_div,
        (
            f"reciprocal(add(y, {PROTECTION}))",
            f"neg(div(protected_div(x, y), add(y, {PROTECTION})))",
        ),
        unbounded,
        f"{SWISH}; the epsilon is that of the NNI re-implementation",
    ),
    Operator(
        "analytic_quotient",
        2,
        "x/sqrt(1 + y^2)",
        lambda sp, x, y: x / sp.sqrt(1 + y**2),
        functions.analytic_quotient,
        (
            "analytic_quotient(1, y)",
            "neg(mul(analytic_quotient(x, y), mul(analytic_quotient(y, y), "
            "analytic_quotient(1, y))))",
        ),
        lambda dx, dy: dx,
        "smooth protected division, Ni et al. 2013, 10.1109/TEVC.2012.2195319",
    ),
    Operator(
        "logaddexp",
        2,
        "ln(e^x + e^y)",
        lambda sp, x, y: sp.log(sp.exp(x) + sp.exp(y)),
        torch.logaddexp,
        ("sigmoid(sub(x, y))", "sigmoid(sub(y, x))"),
        max,
        CLASSICAL,
    ),
    Operator(
        "surrogate",
        2,
        "the value of x with the slope of y",
        lambda sp, x, y: x,
        functions.surrogate,
        ("0", "1"),
        lambda dx, dy: dx,
        "straight-through estimators, Bengio et al. 2013, arXiv:1308.3432",
    ),
    Operator(
        "chain",
        2,
        "x y, and 0 where either is 0",
        lambda sp, x, y: x * y,
        functions.chain,
        ("y", "x"),
        total,
        "product of the chain rule",
    ),
)
