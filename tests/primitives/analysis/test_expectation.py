"""Expectations, their errors and their infinities, against closed forms and scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from actsearch.primitives import parse
from actsearch.primitives.analysis.expectation import figure
from actsearch.primitives.analysis.figure import Figure
from actsearch.primitives.analysis.panels import panels


def first(formula: str, mean: float = 0.0, variance: float = 1.0) -> Figure | None:
    return figure(parse(formula), lambda s: s.value * s.root, mean, variance)


def second(formula: str) -> Figure | None:
    return figure(parse(formula), lambda s: s.value**2)


def slope_second(formula: str) -> Figure | None:
    return figure(parse(formula), lambda s: s.slope**2)


def assert_right(found: Figure | None, truth: float) -> None:
    assert found is not None
    # The closed forms are differences of numbers of size 10.
    assert abs(found.value - truth) <= found.error + 1e-14
    assert found.error <= 1e-13


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.05, 9))
def test_a_kink_anywhere_costs_no_accuracy(kink: float, mean: float, variance: float) -> None:
    deviation = math.sqrt(variance)
    gap = (mean - kink) / deviation
    expected = deviation * (gap * norm.cdf(gap) + norm.pdf(gap))
    assert_right(first(f"relu(x - ({kink!r}))", mean, variance), expected)


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.05, 9))
def test_nor_does_a_jump(jump: float, mean: float, variance: float) -> None:
    expected = norm.sf((jump - mean) / math.sqrt(variance))
    assert_right(first(f"step(x - ({jump!r}))", mean, variance), expected)


def test_kinks_are_ends_of_panels() -> None:
    found = panels(parse("max(abs(x - 0.3), abs(sin(x)))"))
    for kink in (-math.pi, math.pi, 2 * math.pi):
        # There abs(x - 0.3) is the larger, so sin has none.
        assert abs(found - kink).min() > 1e-9
    for sign, low, high in ((1, 0.5, 2), (-1, 0, 0.3)):
        kink = brentq(lambda x, sign=sign: sign * (x - 0.3) - math.sin(x), low, high, xtol=1e-15)
        assert abs(found - kink).min() < 1e-14


@pytest.mark.parametrize(
    ("formula", "slope", "breaks"),
    [
        ("x*min(max(x + 2.5, 0), 5)/5", False, [-2.5, 2.5]),
        ("max(x, 0.01*x) - relu(0.7 - x)", False, [0, 0.7]),
        ("tanh(40*(x - 0.123))*x", False, [0.1, 0.15]),
        ("exp(-900*square(x - 1.3))", False, [1.25, 1.3, 1.35]),
        ("signed_sqrt(x - 0.21)", False, [0.21]),
        ("log(abs(x + 0.4))", False, [-0.4]),
        ("abs(sin(3*x))", True, [k * math.pi / 3 for k in range(-7, 8)]),
        ("x*log(abs(x))", True, [0]),
        ("elu(3*x + 1)", True, [-1 / 3]),
    ],
)
def test_scipy_agrees(formula: str, slope: bool, breaks: list[float]) -> None:
    expr = parse(formula)

    def squared(z: float) -> float:
        import numpy as np

        from actsearch.primitives.analysis.pointwise import value_and_slope

        value, derivative = value_and_slope(expr, np.array([z]))
        return float((derivative if slope else value)[0]) ** 2 * norm.pdf(z)

    expected, error = quad(squared, -8, 8, points=breaks, limit=500, epsabs=1e-11, epsrel=1e-11)
    found = slope_second(formula) if slope else second(formula)
    assert found is not None
    assert abs(found.value - expected) <= found.error + 20 * error + 1e-12
    assert found.error < 1e-9


@pytest.mark.parametrize("rate", [0.5, 3.0, 10.0, 12.5])
def test_exponentials_are_followed_far_out(rate: float) -> None:
    found = second(f"exp({rate}*x)")
    assert found is not None
    assert found.value == pytest.approx(math.exp(2 * rate**2), rel=1e-10)


@pytest.mark.parametrize(
    "formula", ["exp(square(x))", "exp(0.3*square(x))", "sinh(200*x)", "exp(exp(x))", "1/x"]
)
def test_what_diverges_is_infinite(formula: str) -> None:
    found = second(formula)
    assert found is not None and found.value == math.inf


@pytest.mark.parametrize("formula", ["1/(x - 0.3)", "cube(x)*exp(square(x))", "log(x)", "sqrt(x)"])
def test_what_has_no_mean_has_none(formula: str) -> None:
    assert first(formula) is None


def test_an_unbounded_slope_may_have_no_second_moment() -> None:
    found = slope_second("signed_sqrt(x)")
    assert found is not None and found.value == math.inf
    # |x|^(3/4): E |z|^(-1/2) is 2^(-1/4) gamma(1/4)/sqrt(pi).
    found = slope_second("signed_sqrt(abs(x)*signed_sqrt(abs(x)))")
    expected = 0.75**2 * 2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi)
    assert found is not None
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert abs(found.value - expected) <= 10 * found.error


def test_the_error_says_when_a_function_is_too_fast() -> None:
    found = second("sin(40000*x)")
    assert found is not None
    assert abs(found.value - 0.5) <= 10 * found.error
    assert found.error > 1e-6
