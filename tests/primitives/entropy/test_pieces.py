"""Algebra, slopes and pieces of expressions keep the function that they are of."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SMOOTH, exprs

from actsearch.primitives import Constant, Expr, derivative, evaluate, parse, read_formula
from actsearch.primitives.entropy.algebra import simplified, times
from actsearch.primitives.entropy.pieces import knots_of, on_piece, pieces_of, zeros_of
from actsearch.primitives.entropy.slopes import logarithm, logarithmic_slope, slope

X = torch.tensor([-7.3, -2.1, -0.9, -0.2, 0.4, 1.3, 3.7, 8.9], dtype=torch.float64)


def assert_equal_where_finite(found: Expr, expected: torch.Tensor) -> None:
    value = evaluate(found, {"x": X})
    fine = torch.isfinite(expected) & torch.isfinite(value) & (expected.abs() < 1e10)
    torch.testing.assert_close(value[fine], expected[fine], rtol=1e-7, atol=1e-9)


numbers = st.builds(Constant, st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 0.1]))


@given(exprs(operators=(*SMOOTH, "div", "neg", "cube", "reciprocal", "chain"), numbers=numbers))
def test_simplified_expressions_are_equal(expr: Expr) -> None:
    with contextlib.suppress(OverflowError):
        assert_equal_where_finite(simplified(expr), evaluate(expr, {"x": X}))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("softplus(x)", "sigmoid(-x)"),
        ("tanh(x)", "-2*tanh(x)"),
        ("sigmoid(x)", "-tanh(0.5*x)"),
        ("sinh(x)", "tanh(x)"),
        ("exp(3*x)", "3"),
        ("normal_cdf(x)", "-x"),
        ("2*x + 1", "0"),
    ],
)
def test_logarithmic_slopes_of_slopes_have_their_closed_forms(formula: str, expected: str) -> None:
    found = logarithmic_slope(slope(parse(formula)))
    assert_equal_where_finite(found, evaluate(parse(expected), {"x": X}))
    # In the tails too, where f' and f'' underflow.
    far = torch.tensor([-5e3, 5e3], dtype=torch.float64)
    expected_far = evaluate(parse(expected), {"x": far})
    torch.testing.assert_close(evaluate(found, {"x": far}), expected_far)


@pytest.mark.parametrize(
    "formula", ["tanh(x)", "sigmoid(x)", "x*exp(-x)", "cosh(x)", "3*x/(1+x^2)"]
)
def test_a_logarithm_is_that_of_the_size(formula: str) -> None:
    expr = parse(formula)
    expected = evaluate(slope(expr), {"x": X}).abs().log()
    assert_equal_where_finite(logarithm(slope(expr)), expected)


@pytest.mark.parametrize(
    ("formula", "knots", "shown"),
    [
        ("relu(x)", [0], ["0", "x"]),
        ("max(x, 0.01*x)", [0], ["mul(0.01, x)", "x"]),
        ("elu(x)", [0], ["expm1(x)", "x"]),
        ("abs(x - 2)", [2], ["neg(sub(x, 2))", "sub(x, 2)"]),
        ("min(max(x, -1), 1)", [-1, 1], ["-1", "x", "1"]),
        ("hard_sigmoid_keras2(x)", [-2.5, 2.5], ["0", "add(mul(0.2, x), 0.5)", "1"]),
        ("relu(relu(x) - 1)", [1], ["0", "sub(x, 1)"]),
        ("surrogate(step(x), tanh(x))", [0], ["0", "1"]),
        ("tanh(x)", [], ["tanh(x)"]),
    ],
)
def test_pieces_are_split_at_kinks_and_have_none(
    formula: str, knots: list[float], shown: list[str]
) -> None:
    pieces = pieces_of(parse(formula))
    assert [piece.high for piece in pieces[:-1]] == knots
    assert pieces[0].low == -math.inf
    assert pieces[-1].high == math.inf
    assert [str(piece.expr) for piece in pieces] == shown


@pytest.mark.parametrize("name", ["selu", "softsign", "leaky_relu", "mish", "relu_squared"])
def test_pieces_have_value_and_slope_of_the_whole(name: str) -> None:
    expr = read_formula(name)
    for piece in pieces_of(expr):
        here = X[(piece.low < X) & (piece.high > X)]
        torch.testing.assert_close(evaluate(piece.expr, {"x": here}), evaluate(expr, {"x": here}))
        expected = evaluate(derivative(expr), {"x": here})
        torch.testing.assert_close(evaluate(piece.slope, {"x": here}), expected)


def test_zeros_are_found_with_and_without_a_change_of_sign_and_not_in_a_tail() -> None:
    assert zeros_of(parse("x^2 - 2"), -5, 5) == pytest.approx([-math.sqrt(2), math.sqrt(2)])
    assert zeros_of(parse("square(x - 1)"), -5, 5) == [1]
    assert zeros_of(parse("gaussian(sinh(x))*cosh(x)"), -12, 12) == []
    assert zeros_of(slope(parse("x*sigmoid(x)")), -12, 12) == pytest.approx([-1.2784645427610738])


def test_too_many_kinks_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 64 kinks"):
        knots_of(parse("abs(sin(100*x))"))


def test_a_piece_of_a_product_is_collected() -> None:
    assert str(on_piece(parse("abs(x)*relu(x)"), 1.0)) == "square(x)"
    assert str(times(parse("x/3"), parse("3/x"))) == "1"
