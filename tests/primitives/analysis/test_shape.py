"""Shapes of known functions against closed forms and mpmath."""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import torch

from actsearch.primitives import evaluate, parse, read_formula
from actsearch.primitives.analysis.shape import shape_of

GELU = "x*normal_cdf(x)"
SILU = "x*sigmoid(x)"
MISH = "x*tanh(softplus(x))"
DSILU = "sigmoid(x)*(1 + x*sigmoid(-x))"
SNAKE = "x + square(sin(x))"
SOFTSIGN = "softsign(x)"
SQUAREPLUS = "0.5*(x + sqrt(square(x) + 4))"
HARDSWISH = "x*min(max(x + 3, 0), 6)/6"


def measured(text):
    """Without sympy, so that the numeric route is what is tested."""
    return shape_of(parse(text), seconds=0)


def logistic(x):
    return 1 / (1 + mp.exp(-x))


TRUTH = {
    GELU: lambda x: x * mp.ncdf(x),
    SILU: lambda x: x * logistic(x),
    MISH: lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    DSILU: lambda x: mp.diff(lambda t: t * logistic(t), x),
    "x*sigmoid(1.702*x)": lambda x: x * logistic(mp.mpf("1.702") * x),
    "x*tanh(exp(x))": lambda x: x * mp.tanh(mp.exp(x)),
    "x*exp(-exp(-x))": lambda x: x * mp.exp(-mp.exp(-x)),
}


def root_of(function, near):
    return mp.findroot(function, near)


@pytest.mark.parametrize(
    ("text", "start", "at", "value"),
    [
        (GELU, -0.75, -0.75179, -0.16997),
        (MISH, -1.2, -1.19244, -0.30884),
        (SILU, -1.3, -1.2785, -0.2785),
        ("x*sigmoid(1.702*x)", -0.75, -0.7512, -0.1636),
        ("x*tanh(exp(x))", -1.1, -1.0789, -0.3533),
        ("x*exp(-exp(-x))", -0.6, -0.5671, -0.0973),
    ],
)
def test_the_minimum_of_self_gated_functions(text, start, at, value):
    function = TRUTH[text]
    truth = root_of(lambda x: mp.diff(function, x), start)
    assert float(truth) == pytest.approx(at, abs=1e-4)
    shape = measured(text)
    (lowest,) = shape.extrema
    assert lowest.kind == "minimum"
    assert abs(lowest.at.value - truth) <= lowest.at.error < 1e-10
    assert abs(lowest.value.value - function(truth)) < 1e-14
    assert lowest.value.value == pytest.approx(value, abs=1e-4)
    assert shape.range.low == lowest.value and shape.range.low_attained
    assert shape.range.high.value == math.inf and not shape.range.high_attained
    assert shape.monotone is None and shape.convexity is None and shape.parity is None
    assert [z.value for z in shape.zeros] == pytest.approx([0], abs=1e-12)
    assert shape.limits[0].value == pytest.approx(0, abs=1e-12)
    assert shape.asymptotes[1].slope.value == pytest.approx(1, abs=1e-12)
    assert shape.kinks == () and shape.smoothness is None and shape.kind == "analytic"


@pytest.mark.parametrize(
    ("text", "start", "constant"),
    [
        (GELU, 1.4, 1.1290),
        (SILU, 2.4, 1.0998),
        (MISH, 1.5, 1.0885),
        ("x*tanh(exp(x))", 0.7, 1.0620),
    ],
)
def test_the_largest_slope_is_at_an_inflection(text, start, constant):
    inflection = root_of(lambda x: mp.diff(TRUTH[text], x, 2), start)
    shape = measured(text)
    assert shape.lipschitz.value == pytest.approx(
        float(mp.diff(TRUTH[text], inflection)), rel=1e-12
    )
    assert shape.lipschitz.value == pytest.approx(constant, abs=1.5e-4)
    assert any(abs(i.value - inflection) < 1e-10 for i in shape.inflections)


def test_dsilu_overshoots_as_silu_slopes():
    shape = measured(DSILU)
    silu = measured(SILU)
    assert shape.range.high.value == pytest.approx(1.0998, abs=1e-4)
    assert shape.range.high.value == pytest.approx(silu.lipschitz.value, rel=1e-12)
    assert shape.range.low.value == pytest.approx(1 - shape.range.high.value, rel=1e-12)
    assert shape.range.low_attained and shape.range.high_attained
    assert [round(f.value, 12) for f in shape.limits] == [0, 1]
    assert [e.kind for e in shape.extrema] == ["minimum", "maximum"]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("sigmoid(x)", 0, 1),
        ("tanh(x)", -1, 1),
        ("atan(x)", -math.pi / 2, math.pi / 2),
        (SOFTSIGN, -1, 1),
        ("elu(x)", -1, math.inf),
        ("selu(x)", -1.0507009873554805 * 1.6732632423543772, math.inf),
        ("softplus(x)", 0, math.inf),
        (SQUAREPLUS, 0, math.inf),
        ("exp(-exp(-x))", 0, 1),
        ("sinh(x)", -math.inf, math.inf),
        ("log_sigmoid(x)", -math.inf, 0),
    ],
)
def test_limits_that_are_not_attained_bound_the_range(text, low, high):
    shape = measured(text)
    for figure, limit, truth in zip(
        (shape.range.low, shape.range.high), shape.limits, (low, high), strict=True
    ):
        assert figure == limit
        if math.isinf(truth):
            assert figure.value == truth
        else:
            assert abs(figure.value - truth) <= figure.error + 1e-15 and figure.error < 1e-6
    assert not shape.range.low_attained and not shape.range.high_attained
    assert shape.monotone == "increasing"


@pytest.mark.parametrize(
    ("text", "monotone", "convexity", "parity", "smoothness"),
    [
        ("relu(x)", "non-decreasing", "convex", None, 0),
        ("max(x, 0.01*x)", "increasing", "convex", None, 0),
        ("min(max(x, 0), 6)", "non-decreasing", None, None, 0),
        ("min(max(x, -1), 1)", "non-decreasing", None, "odd", 0),
        ("softplus(x)", "increasing", "convex", None, None),
        (SQUAREPLUS, "increasing", "convex", None, None),
        ("sigmoid(x)", "increasing", None, None, None),
        ("tanh(x)", "increasing", None, "odd", None),
        (SOFTSIGN, "increasing", None, "odd", 1),
        ("elu(x)", "increasing", "convex", None, 1),
        ("max(x, 0) + min(0, 2*expm1(x/2))", "increasing", "convex", None, 1),
        ("selu(x)", "increasing", None, None, 0),
        (SNAKE, "increasing", None, None, None),
        ("x*cos(x)", None, None, "odd", None),
        ("abs(x)", None, "convex", "even", 0),
        ("step(x)", "non-decreasing", None, None, -1),
        ("sinc(x)", None, None, "even", None),
        ("atan(x)", "increasing", None, "odd", None),
        ("-x", "decreasing", "affine", "odd", None),
        ("exp(-x)", "decreasing", "convex", None, None),
        (HARDSWISH, None, None, None, 0),
        ("square(relu(x))", "non-decreasing", "convex", None, 1),
        ("x*sqrt(square(x) + 1)", "increasing", None, "odd", None),
        ("x*abs(x)*abs(x)*abs(x)", "increasing", None, "odd", 3),
        ("relu(x) - relu(-x)", "increasing", "affine", "odd", None),
        ("3", "non-decreasing", "affine", "even", None),
    ],
)
def test_verdicts(text, monotone, convexity, parity, smoothness):
    shape = measured(text)
    assert shape.monotone == monotone
    assert shape.convexity == convexity
    assert shape.parity == parity
    assert shape.smoothness == smoothness


def test_a_slope_that_is_negative_by_a_little_is_seen():
    assert measured("x + 1.001*sin(x)").monotone is None
    assert measured("x + sin(x)").monotone == "increasing"
    assert measured("x + 1e-9*sin(x)").monotone == "increasing"
    assert measured("softplus(x) - 1e-6*gaussian(x + 8)").monotone == "increasing"
    assert measured("softplus(x) - 0.01*gaussian(x + 8)").monotone is None


@pytest.mark.parametrize(
    ("text", "order", "truth"),
    [
        ("sigmoid(x)", 1, 1 / 4),
        ("sigmoid(x)", 2, 1 / (6 * math.sqrt(3))),
        ("tanh(x)", 1, 1),
        ("tanh(x)", 2, 4 / (3 * math.sqrt(3))),
        ("softplus(x)", 1, 1),
        ("softplus(x)", 2, 1 / 4),
        ("atan(x)", 2, 3 * math.sqrt(3) / 8),
        (GELU, 2, math.sqrt(2 / math.pi)),
        (SILU, 2, 1 / 2),
        (SOFTSIGN, 2, 2),
        ("gaussian(x)", 1, math.sqrt(2 / math.e)),
        ("gaussian(x)", 2, 2),
        ("sin(30*x)", 1, 30),
        ("sin(30*x)", 2, 900),
        (SNAKE, 1, 2),
        ("relu(x)", 1, 1),
        ("relu(x)", 2, math.inf),
        ("step(x)", 1, math.inf),
        ("signed_sqrt(x)", 1, math.inf),
        ("square(relu(x))", 1, math.inf),
        ("square(relu(x))", 2, 2),
        ("x*cos(x)", 1, math.inf),
        ("exp(x)", 1, math.inf),
        (HARDSWISH, 1, 1.5),
        ("sinc(x)", 2, 1 / 3),
        ("bessel_i0e(x)", 1, 1),
        ("0.5*(1 + x/sqrt(square(x) + 1e-6))", 1, 500),
    ],
)
def test_lipschitz_constants(text, order, truth):
    shape = measured(text)
    figure = shape.lipschitz if order == 1 else shape.slope_lipschitz
    if math.isinf(truth):
        assert figure.value == math.inf
    else:
        assert abs(figure.value - truth) <= figure.error + 1e-12 * truth
        assert figure.error <= 1e-6 * truth


def test_straight_lines_far_out():
    left, right = measured("x + log_cosh(0.5*x)").asymptotes
    assert left.slope.value == pytest.approx(0.5) and right.slope.value == pytest.approx(1.5)
    for line in (left, right):
        assert abs(line.intercept.value + math.log(2)) <= line.intercept.error + 1e-9
    left, right = measured("x - tanh(x)").asymptotes
    assert (left.slope.value, left.intercept.value) == (1, 1)
    assert (right.slope.value, right.intercept.value) == (1, -1)
    left, right = measured("x*atan(x)").asymptotes
    assert right.slope.value == pytest.approx(math.pi / 2)
    assert abs(right.intercept.value + 1) <= right.intercept.error
    left, right = measured("square(relu(x))").asymptotes
    assert left.slope.exact and (left.slope.value, left.intercept.value) == (0, 0)
    assert right is None
    level, _ = measured("0.5*(x + sqrt(square(x) + 1e-6))").asymptotes
    assert abs(level.slope.value) <= level.slope.error and level.intercept.value == 0
    assert measured("sign(x)*log1p(abs(x))").asymptotes == (None, None)
    assert measured("x + sin(x)").asymptotes == (None, None)


def test_unbounded_slowly_is_unbounded():
    for text in ("log1p(relu(x))", "asinh(x)", "sqrt(softplus(x))", "protected_log(x)"):
        assert measured(text).limits[1].value == math.inf, text
    assert measured("atan(x)").limits[1].value < 2


@pytest.mark.parametrize(
    "text", ["sin(x)", "x*cos(x)", "sinc(x)", SNAKE, "sin(30*x)", "abs(sin(x))"]
)
def test_an_oscillation_is_listed_near_0_and_says_so(text):
    shape = measured(text)
    assert shape.truncated
    for places in (shape.zeros, [e.at for e in shape.extrema], shape.inflections):
        assert len(places) <= 24 and all(abs(p.value) <= 20 for p in places)
    assert not measured(GELU).truncated


def test_the_oscillations_themselves():
    sine = measured("sin(x)")
    assert sine.limits == (None, None)
    assert sine.range.low.value == pytest.approx(-1) and sine.range.high_attained
    tops = [e.at.value for e in sine.extrema if e.kind == "maximum" and e.at.value > 0]
    assert tops == pytest.approx([math.pi / 2 + 2 * math.pi * n for n in range(len(tops))])
    growing = measured("x*cos(x)")
    assert (growing.range.low.value, growing.range.high.value) == (-math.inf, math.inf)
    fading = measured("sinc(x)")
    assert [f.value for f in fading.limits] == [0, 0]
    lowest = root_of(lambda x: mp.diff(lambda t: mp.sin(t) / t, x), 4.5)
    assert fading.range.low.value == pytest.approx(float(mp.sin(lowest) / lowest), rel=1e-12)
    rectified = measured("abs(sin(x))")
    assert rectified.range.low.value == pytest.approx(0, abs=1e-12)
    assert len(rectified.zeros) == len([k for k in rectified.kinks if k.kind == "kink"]) == 13


def test_stretches_of_zero():
    (stretch,) = measured("relu(x)").zero_intervals
    assert (stretch[0].value, stretch[1].value) == (-math.inf, 0)
    assert measured("relu(x)").zeros == ()
    (stretch,) = measured("x*step(abs(x) - 0.5)").zero_intervals
    assert (stretch[0].value, stretch[1].value) == (-0.5, 0.5)
    left, right = measured("relu(1 - abs(x))").zero_intervals
    assert (left[1].value, right[0].value) == (-1, 1)
    assert measured(GELU).zero_intervals == ()


def test_zeros_that_only_touch():
    for text in ("square(x)", "x*tanh(x)", "square(x - 1)*exp(x)", "log_cosh(x)"):
        (zero,) = measured(text).zeros
        assert abs(zero.value - (1 if "1" in text else 0)) < 1e-7, text


def test_surrogates_have_the_shape_of_the_value():
    plain, paired = measured("relu(x)"), measured("surrogate(relu(x), relu(x + 0.05))")
    assert paired.range == plain.range and paired.monotone == plain.monotone
    assert paired.lipschitz == plain.lipschitz
    (kink,) = paired.kinks
    assert (kink.left.value, kink.right.value, kink.used) == (0, 1, 1)
    (jump,) = measured("surrogate(sign(x), x*exp(-x))").kinks
    assert (jump.kind, jump.left.value, jump.right.value, jump.used) == ("jump", -1, 1, 1)


def test_trainable_parameters_are_at_their_initial_values():
    shape = measured("max(x, 0) + a[0.25]*min(x, 0)")
    assert shape.kinks[0].left.value == 0.25 and shape.inverse == "4*y for y < 0; y for y >= 0"
    assert "a" in shape.latex


@pytest.mark.parametrize(
    ("text", "operators", "kind"),
    [
        ("relu(x)", "comparisons", "piecewise linear"),
        ("min(max(x, 0), 6)", "comparisons", "piecewise linear"),
        ("x", "polynomial", "piecewise linear"),
        ("square(x) + x", "polynomial", "polynomial"),
        ("square(relu(x))", "polynomial", "other"),
        (SOFTSIGN, "rational", "other"),
        ("x/(1 + square(x))", "rational", "analytic"),
        (SQUAREPLUS, "algebraic", "analytic"),
        (GELU, "transcendental", "analytic"),
        ("elu(x)", "transcendental", "other"),
        ("surrogate(relu(x), x*sigmoid(x))", "comparisons", "piecewise linear"),
    ],
)
def test_classes(text, operators, kind):
    shape = measured(text)
    assert (shape.operator_class, shape.kind) == (operators, kind)


def test_two_inputs_and_layers_are_refused():
    with pytest.raises(ValueError, match=r"one input; this one reads u, v"):
        shape_of(parse("u*sigmoid(v)"))
    with pytest.raises(ValueError, match="reads a whole layer"):
        shape_of(parse("x/std_batch(x)"))
    with pytest.raises(ValueError, match="'uniform' is a draw"):
        shape_of(read_formula("rrelu"))
    with pytest.raises(ValueError, match="'max_token' is a draw or reads a whole layer"):
        shape_of(read_formula("softmax"))


def test_poles_and_edges_of_the_domain():
    shape = measured("1/x")
    (pole,) = shape.kinks
    assert (pole.kind, pole.left.value, pole.right.value) == ("pole", -math.inf, math.inf)
    assert shape.monotone is None and shape.lipschitz.value == math.inf
    (edge,) = measured("sqrt(x)").kinks
    assert edge.kind == "edge" and math.isnan(edge.left.value) and edge.right.value == 0
    assert measured("sqrt(x)").range.low_attained


def test_the_range_holds_what_the_engine_computes():
    points = torch.linspace(-50, 50, 9001, dtype=torch.float64)
    for text in (*TRUTH, HARDSWISH, SNAKE, "x*cos(x)", "sinc(x)", "selu(x)"):
        shape = measured(text)
        values = evaluate(parse(text), {"x": points})
        assert values.min() >= shape.range.low.value - shape.range.low.error - 1e-15
        assert values.max() <= shape.range.high.value + shape.range.high.error + 1e-15
