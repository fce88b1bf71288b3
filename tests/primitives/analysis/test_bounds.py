"""Interval bounds and relaxations against sampled truth, closed forms and mpmath."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath as mp
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import exprs

from actsearch.primitives import OPERATORS, evaluate, inputs, known_activations, read_formula
from actsearch.primitives.analysis.bounds import bounds_of, relaxation_of
from actsearch.primitives.analysis.bounds.interval_bounds import enclosure
from actsearch.primitives.analysis.bounds.intervals import Intervals
from actsearch.primitives.analysis.figure import at_initial

SCALAR = {
    name: known.expr for name, known in known_activations().items() if inputs(known.expr) == ("x",)
}
ALWAYS_BOUNDED = sorted(set(OPERATORS) - {"surrogate"})


def sampled(expr, low, high, count=4001):
    x = torch.linspace(low, high, count, dtype=torch.float64)
    return x, evaluate(at_initial(expr), {"x": x}).expand(count)


@pytest.mark.parametrize("name", list(SCALAR)[::2])
def test_every_second_known_activation_stays_inside(name):
    x, values = sampled(SCALAR[name], -3.0, 4.0)
    least, largest = bounds_of(SCALAR[name], -3.0, 4.0)
    assert least <= values.min()
    assert largest >= values.max()
    lines = relaxation_of(SCALAR[name], -3.0, 4.0)
    # The lines themselves are computed with rounding here.
    room = 1e-12 * (1 + values.abs())
    assert (lines.lower_slope * x + lines.lower_intercept <= values + room).all()
    assert (lines.upper_slope * x + lines.upper_intercept >= values - room).all()


@pytest.mark.parametrize(
    ("text", "low", "high", "least", "largest"),
    [
        ("gelu", -5, 5, -0.16997120747990369, 5 * 0.9999997133484281),
        ("mish", -5, 0, -0.30884341317252, 0),
        ("sigmoid", -2, 3, 1 / (1 + math.exp(2)), 1 / (1 + math.exp(-3))),
        ("sin(x)", 0, 10, -1, 1),
        ("sin(x)", 0, 1, 0, math.sin(1)),
        ("x - x", -4, 9, 0, 0),
        ("x*x", -2, 3, 0, 9),
        ("x^3", -2, 3, -8, 27),
        ("x^-2", 1, 2, 0.25, 1),
        ("abs(x)", -2, 1, 0, 2),
        ("x*relu(x)", -2, 3, 0, 9),
        ("step(x)", -1, -0.5, 0, 0),
        ("sinc(x)", -20, 20, -0.21723362821122, 1),
    ],
)
def test_bounds_are_tight(text, low, high, least, largest):
    found = bounds_of(read_formula(text), low, high)
    assert found == pytest.approx((least, largest), abs=2e-8)
    assert found[0] <= least + 1e-15
    assert found[1] >= largest - 1e-15


@given(
    exprs(operators=ALWAYS_BOUNDED),
    st.floats(-6, 6),
    st.floats(0, 4),
)
@settings(max_examples=150, deadline=None)
def test_random_expressions_stay_inside(expr, low, width):
    piece = Intervals(
        torch.tensor([low], dtype=torch.float64), torch.tensor([low + width], dtype=torch.float64)
    )
    held = enclosure(expr, piece)
    _, values = sampled(expr, low, low + width, 201)
    values = values[values.isfinite()]
    assume(len(values) and float(values.abs().max()) < 1e100)
    assert float(held.low) <= float(values.min()), expr
    assert float(held.high) >= float(values.max()), expr


@pytest.mark.parametrize("text", ["x*sigmoid(x)", "exp(-square(x))*x", "tanh(x) - 0.3*x"])
def test_bounds_hold_the_exact_extremes(text):
    functions = {
        "x*sigmoid(x)": lambda x: x / (1 + mp.exp(-x)),
        "exp(-square(x))*x": lambda x: x * mp.exp(-x * x),
        "tanh(x) - 0.3*x": lambda x: mp.tanh(x) - mp.mpf(0.3) * x,
    }
    with mp.workdps(40):
        function = functions[text]
        places = [mp.mpf(k) / 8 for k in range(-24, 25)]
        extremes = [
            function(mp.findroot(lambda t: mp.diff(function, t), (left, right), solver="anderson"))
            for left, right in pairwise(places)
            if mp.diff(function, left) * mp.diff(function, right) < 0
        ]
        assert extremes
        inside = [*extremes, function(mp.mpf(-3)), function(mp.mpf(3))]
        least, largest = bounds_of(read_formula(text), -3, 3)
        assert least <= min(inside) <= least + 1e-8
        assert largest - 1e-8 <= max(inside) <= largest


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("x^round(x)", -2.2, -1.9),
        ("(0-2.82)^relu(x)", -1.0, 3.0),
        ("(0-1.19)^sign(x)", -1.0, 1.0),
        ("x^(0-round(x))", -3.0, 3.0),
    ],
)
def test_powers_of_negative_numbers_stay_inside(text, low, high):
    expr = read_formula(text)
    least, largest = bounds_of(expr, low, high)
    x = torch.cat([torch.linspace(low, high, 4001, dtype=torch.float64), torch.arange(-3.0, 4.0)])
    values = evaluate(expr, {"x": x[(x >= low) & (x <= high)]})
    values = values[values.isfinite()]
    assert len(values)
    assert least <= values.min()
    assert largest >= values.max()


def test_a_bound_below_an_overflow_is_a_number():
    least, largest = bounds_of(read_formula("exp(x)"), 710, 711)
    assert math.isfinite(least)
    assert largest == math.inf


def test_relaxation_of_relu_is_the_triangle():
    lines = relaxation_of(read_formula("relu"), -1.0, 3.0)
    assert lines.upper_slope == pytest.approx(0.75)
    assert lines.upper_intercept == pytest.approx(0.75)
    # Of all lines a x below relu, a = 1 leaves the least area where the middle is positive.
    assert lines.lower_slope == pytest.approx(1.0)
    assert lines.lower_intercept == pytest.approx(0.0, abs=1e-9)


def test_relaxation_of_a_line_is_the_line():
    lines = relaxation_of(read_formula("2*x + 1"), -1.0, 5.0)
    assert (lines.lower_slope, lines.upper_slope) == pytest.approx((2, 2))
    assert (lines.lower_intercept, lines.upper_intercept) == pytest.approx((1, 1), abs=1e-9)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (-math.inf, 0.0), (0.0, math.nan)])
def test_refuses_what_is_no_interval(ends):
    with pytest.raises(ValueError, match="finite ends"):
        bounds_of(read_formula("relu"), *ends)


def test_refuses_gates():
    with pytest.raises(ValueError, match="reads u, v"):
        bounds_of(read_formula("swiglu"), 0, 1)


def test_undefined_all_along_is_not_a_number():
    assert all(math.isnan(bound) for bound in bounds_of(read_formula("log(x)"), -3, -1))
