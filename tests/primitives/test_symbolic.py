"""To sympy and back."""

from __future__ import annotations

import mpmath as mp
import pytest
import sympy as sp
import torch
from hypothesis import assume, given, settings
from strategies import PARAMETERS, SMOOTH, exprs
from truth import slope_of, truth_of

from actsearch.primitives import (
    OPERATORS,
    Apply,
    Constant,
    Input,
    inputs,
    known_activations,
    parameters,
    parse,
    value_and_slopes,
)
from actsearch.primitives.expr import substitute
from actsearch.primitives.symbolic import _operator_of_head, from_sympy, latex, to_sympy

POINTS = (-3.3, -0.7, 0.4, 1.9, 6.1)
ONLY_SLOPES = ("sinc_slope", "bessel_i0e_slope", "bessel_i1e_slope")


def assert_same_function(expr, twin):
    """The twin, computed by the engine, against the truth of the first, by mpmath."""
    names = inputs(expr)
    fixed = substitute(expr, {p: Constant(p.initial) for p in parameters(expr)})
    truth = truth_of(to_sympy(fixed), names)
    points = torch.tensor(POINTS, dtype=torch.float64)
    bindings = {name: points.roll(i) for i, name in enumerate(names)}
    value, slopes = value_and_slopes(twin, {**bindings, "unread": points})
    by_input = dict(zip(inputs(twin), slopes, strict=True))
    compared = 0
    for row in range(len(points)):
        point = [tensor[row].item() for tensor in bindings.values()]
        pairs = [(value, truth)]
        pairs += [(by_input[n], slope_of(truth, i)) for i, n in enumerate(names) if n in by_input]
        for got, function in pairs:
            true = function(point)
            if true is None or abs(true) > 1e12:
                continue
            assert abs(got[row].item() - true) <= 1e-8 * max(1, abs(true)), f"{expr} as {twin}"
            compared += 1
    return compared


@pytest.mark.parametrize("name", [n for n in OPERATORS if n not in ONLY_SLOPES])
def test_every_operator_goes_there_and_back(name):
    record = OPERATORS[name]
    expr = Apply(record, tuple(Input(n) for n in (("x",) if record.arity == 1 else ("u", "v"))))
    back = from_sympy(to_sympy(expr))
    assert assert_same_function(expr, back) > 2
    assert from_sympy(to_sympy(back)) == back


@pytest.mark.parametrize("name", ONLY_SLOPES)
def test_operators_that_are_only_slopes_do_not_come_back(name):
    with pytest.raises(ValueError, match=r"no operator is (Piecewise|besseli), as in"):
        from_sympy(to_sympy(parse(f"{name}(x)")))


@pytest.mark.parametrize("name", known_activations())
def test_known_activations_go_there_and_back(name):
    expr = known_activations()[name].expr
    back = from_sympy(to_sympy(expr), parameters(expr))
    assert set(parameters(back)) == set(parameters(expr))
    assert assert_same_function(expr, back) > 2
    for point in (-1e4, 1e4):
        bindings = dict.fromkeys(inputs(back), torch.tensor([point]))
        value, slopes = value_and_slopes(back, bindings)
        # e^x and sinh overflow by themselves.
        expected = value_and_slopes(expr, bindings)
        for got, ours in zip((value, *slopes), (expected[0], *expected[1]), strict=True):
            assert torch.isfinite(got).all() or not torch.isfinite(ours).all()


@settings(max_examples=40)
@given(exprs(("u", "v"), operators=SMOOTH, parameters=PARAMETERS, max_leaves=6))
def test_random_expressions_go_there_and_back(expr):
    try:
        symbolic = to_sympy(expr)
    except ValueError:
        assume(False)
    back = from_sympy(symbolic, PARAMETERS)
    assume(max([abs(c) for c in _numbers(expr)], default=0) < 100)
    assert_same_function(expr, back)


def _numbers(expr):
    if isinstance(expr, Constant):
        return [expr.value]
    return [n for a in getattr(expr, "arguments", ()) for n in _numbers(a)]


def test_heads_are_one_to_one_with_operators():
    table = _operator_of_head()
    assert len(set(table.values())) == len(table)
    symbols = sp.symbols("a b", real=True)
    for (head, *numbers), name in table.items():
        arguments = symbols[: OPERATORS[name].arity]
        assert OPERATORS[name].sympy(sp, *arguments) == head(*arguments, *numbers)
    assert {"tanh", "erf", "max", "min", "step", "sinc", "exp", "log"} <= set(table.values())


A = sp.Symbol("x", real=True)


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        (1 / (1 + sp.exp(-A)), "sigmoid(x)"),
        (1 / (1 + sp.exp(2 * A)), "sigmoid(-2*x)"),
        (sp.exp(A) / (sp.exp(A) + 1), "sigmoid(x)"),
        (A * sp.exp(A) / (sp.exp(A) + 1), "sigmoid(x)*x"),
        (sp.log(1 + sp.exp(A)), "softplus(x)"),
        (sp.log(1 + sp.exp(-3 * A)), "softplus(-3*x)"),
        (sp.log(1 + A), "log1p(x)"),
        (sp.log(sp.exp(A) + sp.exp(2 * A)), "logaddexp(x, 2*x)"),
        (sp.exp(A) - 1, "expm1(x)"),
        (3 - 3 * sp.exp(A), "neg(mul(3, expm1(x)))"),
        (1 + sp.tanh(A), "2*sigmoid(2*x)"),
        ((1 + sp.erf(A / sp.sqrt(2))) / 2, "normal_cdf(x)"),
        (sp.erfc(-A / sp.sqrt(2)) / 2, "normal_cdf(x)"),
        (sp.exp(-(A**2)), "gaussian(x)"),
        (sp.cosh(A) ** -2, "sech_squared(x)"),
        (sp.Max(A, 0), "relu(x)"),
        (sp.Max(A, 0, sp.sin(A)), "relu(max(x, sin(x)))"),
        (A**2, "square(x)"),
        (A**3, "cube(x)"),
        (A**-2, "reciprocal(square(x))"),
        (sp.sqrt(A), "sqrt(x)"),
        (A ** sp.Rational(1, 4), "pow(x, 0.25)"),
        (2**A, "pow(2, x)"),
        (A - 1, "x - 1"),
        (A + 1 + sp.sin(A), "x + sin(x) + 1"),
        (sp.pi * A, "pi*x"),
    ],
)
def test_granular_forms_are_recovered(node, wanted):
    assert from_sympy(node) == parse(wanted)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (sp.Piecewise((A, A > 0), (0, True)), "no operator is Piecewise"),
        (sp.gamma(A), "no operator is gamma, as in 'gamma\\(x\\)'"),
        (sp.Symbol("w"), "symbol 'w' is neither x, u, v nor a trainable parameter"),
        (sp.I * A, "the number I is not real and finite"),
        (sp.oo, "the number oo is not real and finite"),
        (sp.Function("f")(A), "no operator is f"),
        (sp.Integral(A, A), "no operator is Integral"),
    ],
)
def test_what_has_no_counterpart_is_named(node, message):
    with pytest.raises(ValueError, match=message):
        from_sympy(node)


def test_latex_uses_greek_letters():
    assert latex(parse("x*sigmoid(beta[1]*x)")) == r"\frac{x}{1 + e^{- \beta x}}"
    assert latex(parse("u*v + alpha_1[2]*pi")) == r"\pi \alpha_{1} + u v"


@pytest.mark.parametrize(
    "text",
    [
        "9^(9^(9^9))",
        "sqrt(neg(1))*x",
        "x + 1/(1-1)",
        "exp(exp(exp(exp(5.5))))*x",
        "max(sqrt(neg(exp(x))), 1)",
        "cube(" * 40 + "2*x" + ")" * 40,
        "(" * 20 + "2*x" + ")^999" * 20,
        "(2*x)^99999999999",
    ],
)
def test_what_sympy_cannot_hold_is_a_clear_error(text):
    with pytest.raises(ValueError, match=r"is not a finite real number|sympy cannot build"):
        to_sympy(parse(text))


def test_constants_fold_and_numbers_keep_every_digit():
    assert float(to_sympy(parse("exp(log(3)) + 1"))) == pytest.approx(4)
    assert from_sympy(to_sympy(parse("x*0.1"))) == parse("0.1*x")
    assert mp.mpf(from_sympy(sp.Rational(1, 3)).value) == mp.mpf(1 / 3)
