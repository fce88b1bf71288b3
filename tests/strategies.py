"""Random candidates for hypothesis; every feature that adds a kind of candidate extends these."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from actsearch.primitives import OPERATORS, Apply, Constant, Expr, Input, Parameter, Scope
from actsearch.primitives.expr import substitute
from actsearch.primitives.rewrite import RULES, Rule

# One record for each name, since a name has one initial value within a formula.
PARAMETERS = (
    Parameter("alpha", 0.25, Scope.CHANNEL),
    Parameter("beta", 1.0),
    Parameter("gamma", -0.5),
    Parameter("t0", 1.5),
    Parameter("torch", 0.75, Scope.CHANNEL),
)

DIFFERENTIABLE = tuple(name for name, record in OPERATORS.items() if record.slopes)
SMOOTH = (
    *("neg", "square", "sin", "cos", "sinc", "tanh", "asinh", "atan", "sigmoid", "softplus"),
    *("log_sigmoid", "erf", "normal_cdf", "gaussian", "sech_squared"),
    *("add", "sub", "mul", "analytic_quotient", "logaddexp"),
)


def constants() -> st.SearchStrategy[Constant]:
    """Finite constants, the usual ones most often."""
    usual = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 0.1, 1.702, 3.141592653589793, 1e-7])
    return st.builds(Constant, usual | st.floats(-10, 10) | st.floats(-1e30, 1e30))


def exprs(
    input_names: Sequence[str] = ("x",),
    operators: Sequence[str] = DIFFERENTIABLE,
    parameters: Sequence[Parameter] = (),
    numbers: st.SearchStrategy[Constant] | None = None,
    max_leaves: int = 8,
) -> st.SearchStrategy[Expr]:
    """Trees over the given leaves and operators; some read no input at all."""
    leaf = st.sampled_from([*(Input(name) for name in input_names), *parameters])
    leaves = st.one_of(leaf, leaf, constants() if numbers is None else numbers)

    def grown(below: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        def applied(name: str) -> st.SearchStrategy[Expr]:
            record = OPERATORS[name]
            return st.builds(Apply, st.just(record), st.tuples(*[below] * record.arity))

        return st.sampled_from(list(operators)).flatmap(applied)

    return st.recursive(leaves, grown, max_leaves=max_leaves)


def naive_exprs() -> st.SearchStrategy[Expr]:
    """Left sides of the rewrite rules, of random expressions, and inside of others."""
    inner = exprs(max_leaves=3)
    positive = st.builds(Constant, st.sampled_from([0.25, 1.0, 2.0, 3.0, 4.0]))

    def filled(rule: Rule, a: Expr, b: Expr, k: Expr) -> Expr:
        return substitute(rule.naive, {Input("a"): a, Input("b"): b, Input("k"): k})

    naive = st.builds(filled, st.sampled_from(RULES), inner, inner, positive)
    return naive | st.builds(lambda outer, x: substitute(outer, {Input("x"): x}), inner, naive)
