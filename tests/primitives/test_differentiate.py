"""Derivative expressions against finite differences, and the convention at kinks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import SMOOTH, exprs

from actsearch.errors import DerivativeError
from actsearch.primitives import (
    OPERATORS,
    Activation,
    Apply,
    Constant,
    Input,
    Parameter,
    Scope,
    derivative,
    evaluate,
    gradients,
    inputs,
    known_activations,
    parameters,
    parse,
    value_and_slopes,
)

TRAINED = (Parameter("alpha", 0.25, Scope.CHANNEL), Parameter("beta", 1.5))
NUMBERS = st.sampled_from([Constant(c) for c in (1.0, -1.0, 0.5, 2.0, 1.702)])


def moderate(expr, input_names):
    """Skip what is too steep for finite differences to judge."""
    x = torch.linspace(-1.7, 1.9, 41, dtype=torch.float64)
    columns = [x.clone().requires_grad_() for _ in input_names]
    value = evaluate(expr, dict(zip(input_names, columns, strict=True)))
    slopes = torch.autograd.grad(value.sum(), columns, create_graph=True)
    bends = torch.autograd.grad(sum(s.sum() for s in slopes), columns, materialize_grads=True)
    for tensor in (value, *slopes, *bends):
        assume(bool(torch.isfinite(tensor).all()) and tensor.abs().max() < 50)


@given(exprs(("u", "v"), operators=SMOOTH, parameters=TRAINED, numbers=NUMBERS, max_leaves=6))
def test_gradients_pass_gradcheck(part):
    expr = Apply(OPERATORS["add"], (part, parse("sin(u)*v")))
    moderate(expr, ("u", "v"))
    module = Activation(expr, channels=3).double()
    generator = torch.Generator().manual_seed(1)
    u, v = (1.5 * torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)).unbind()
    arguments = [u.requires_grad_(), v.requires_grad_()]
    names = [p.name for p in parameters(expr)]
    trained = [getattr(module, name).detach().requires_grad_() for name in names]

    def call(first, second, *values):
        return torch.func.functional_call(
            module, dict(zip(names, values, strict=True)), (first, second)
        )

    assert torch.autograd.gradcheck(call, (*arguments, *trained), atol=1e-4)
    assert torch.autograd.gradgradcheck(call, (*arguments, *trained), atol=1e-3, rtol=1e-2)


@given(exprs(operators=SMOOTH, numbers=NUMBERS))
def test_derivative_is_what_the_backward_pass_computes(expr):
    assume(inputs(expr) == ("x",))
    x = torch.linspace(-3, 3, 25, dtype=torch.float64, requires_grad=True)
    evaluate(expr, {"x": x}).sum().backward()
    with torch.no_grad():
        slope = evaluate(derivative(expr), {"x": x})
    torch.testing.assert_close(x.grad, slope, equal_nan=True)


@pytest.mark.parametrize("name", known_activations())
def test_derivative_reads_back(name):
    expr = known_activations()[name].expr
    for slope in gradients(expr).values():
        assert parse(slope.text, input_names=("x", "u", "v")) == slope


@pytest.mark.parametrize(
    ("text", "at", "below", "above"),
    [
        ("relu(x)", 0.0, 0.0, 1.0),
        ("abs(x)", 0.0, -1.0, 1.0),
        ("max(x, 0.01*x)", 0.0, 0.01, 1.0),
        ("min(x, square(x))", 1.0, 2.0, 1.0),
        ("elu(x)", 0.0, 1.0, 1.0),
        ("selu(x)", 0.0, 1.7580993408473766, 1.0507009873554805),
        ("hard_sigmoid_keras2(x)", -2.5, 0.0, 0.2),
        ("square(relu(x))", 0.0, 0.0, 0.0),
        ("bessel_i0e(x)", 0.0, 1.0, -1.0),
        ("relu(x) - relu(-x)", 0.0, 1.0, 1.0),
        ("relu(x) + relu(-x)", 0.0, -1.0, 1.0),
        ("max(x, tanh(x))", 0.0, 1.0, 1.0),
    ],
)
def test_slope_at_a_kink_is_the_midpoint_of_both_sides(text, at, below, above):
    slope = derivative(parse(text))
    x = torch.tensor([at - 1e-7, at, at + 1e-7], dtype=torch.float64)
    left, here, right = evaluate(slope, {"x": x}).tolist()
    assert (left, right) == pytest.approx((below, above), abs=1e-5)
    assert here == pytest.approx((below + above) / 2, abs=1e-12)


def test_by_an_input_that_is_not_read_it_is_zero():
    assert derivative(parse("tanh(u)"), "v") == Constant(0)
    assert derivative(parse("2")) == Constant(0)
    assert gradients(Input("x")) == {Input("x"): Constant(1)}


def test_operators_that_are_only_slopes_have_none():
    with pytest.raises(DerivativeError, match="'sinc_slope' is itself a derivative"):
        derivative(parse("sinc_slope(x)"))


def test_deep_expressions_differentiate():
    expr = parse("sin(" * 62 + "x" + ")" * 62)
    x = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
    value = x
    for _ in range(62):
        value = torch.sin(value)
    (expected,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(value_and_slopes(expr, {"x": x})[1][0], expected)


def test_a_surrogate_has_the_slope_of_its_second_argument_in_second_derivatives_too():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    value = evaluate(parse("x*surrogate(cube(x), square(x))"), {"x": x})
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(value, x**4)
    torch.testing.assert_close(slope, x**3 + 2 * x**2)
    torch.testing.assert_close(second, 2 * x + 4 * x)
    (none,) = torch.autograd.grad(evaluate(parse("surrogate(exp(x), 0)"), {"x": x}).sum(), x)
    torch.testing.assert_close(none, torch.zeros_like(x))
