"""The twelve functions that kernels are measured and checked with."""

from __future__ import annotations

from actsearch.primitives import Expr, read_formula

FUNCTIONS: dict[str, Expr] = {
    name: read_formula(formula)
    for name, formula in {
        "relu": "relu",
        "gelu": "gelu",
        "silu": "silu",
        "mish": "mish",
        "golu": "golu",
        "crrelu": "crrelu",
        "snake": "snake",
        "max(x, sigmoid(x))": "max(x, sigmoid(x))",
        "cos(x) - x": "cos(x) - x",
        "two units": "max(x*sigmoid(beta[1, channel]*x), sinc(x))",
        "three units": (
            "sigmoid(gamma[0.5]*erf(x) + (1 - gamma)*x*atan(beta[1, channel]*x))"
            "*min(x, 0) + softplus(x)"
        ),
        "swiglu": "swiglu",
    }.items()
}
