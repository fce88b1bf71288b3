"""Gaussian moments, gains and maps from layer to layer against closed forms and simulation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm
from torch.nn.init import calculate_gain

from actsearch.primitives import evaluate, parse
from actsearch.primitives.analysis.edge_of_chaos import critical_point
from actsearch.primitives.analysis.figure import Figure
from actsearch.primitives.analysis.mean_field import MeanField, mean_field_of

SILU, GELU = "x*sigmoid(x)", "x*normal_cdf(x)"

# E f, E f^2, gain, E f'^2 under N(0, 1), from integrals to twenty digits.
TABLE = {
    "relu(x)": (0.39894228, 0.5, 1.41421356, 0.5),
    GELU: (0.282094792, 0.425221483, 1.53353044, 0.4558509),
    SILU: (0.206620964, 0.35577552, 1.67653247, 0.3794824),
    "x*tanh(softplus(x))": (0.240403888, 0.452342192, 1.48684758, 0.4790838),
    "x*exp(-exp(-x))": (0.258856123, 0.319634353, 1.76877779, 0.3475001),
    "(1 + tanh(x))*x/2": (0.302852755, 0.439472467, 1.50846127, 0.4664251),
    "x*tanh(exp(x))": (0.262131725, 0.529093704, 1.37478158, 0.5611714),
    "x*min(max(x + 3, 0), 6)/6": (0.166216701, 0.331567375, 1.73665721, 0.3585315),
    "x*(atan(x)/pi + 0.5)": (0.208709281, 0.346670803, 1.69840542, 0.3624444),
    "elu(x)": (0.160520572, 0.644945417, 1.2451983, 0.668102),
    "selu(x)": (0.0, 1.0, 1.0, 1.071575),
    "softplus(x)": (0.806059183, 0.921245909, 1.04186684, 0.293379),
    "sigmoid(x)": (0.5, 0.293379036, 1.84622855, 0.04483624),
    "tanh(x)": (0.0, 0.39429449, 1.59253742, 0.4644029),
    "square(relu(x))": (0.5, 1.5, 0.816496581, 2.0),
    "x + square(sin(x))": (0.432332358, 1.30737429, 0.874580983, 1.499832),
    "x*cos(x)": (0.0, 0.296997075, 1.83494864, 1.0),
    "1/(1 + square(square(x)))": (0.676762707, 0.574630268, 1.31918514, 0.349608),
}


def field(formula: str) -> MeanField:
    return mean_field_of(parse(formula))


def gains(formula: str) -> dict[str, Figure | None]:
    return {gain.name: gain.value for gain in field(formula).gains}


def assert_right(found: Figure | None, truth: float) -> None:
    assert found is not None
    assert abs(found.value - truth) <= found.error + 1e-14 * max(1, abs(truth))
    assert found.error <= 1e-9 * max(1, abs(truth))


def numbers(value: Any) -> Iterator[float]:
    """Every number in a figure of any kind."""
    if dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from numbers(getattr(value, part.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("formula", TABLE)
def test_moments_agree_with_exact_integrals(formula: str) -> None:
    mean, second, gain, slope_second = TABLE[formula]
    found = field(formula)
    assert found.mean is not None and found.second is not None and found.slope_second is not None
    # To the last digit that the table has.
    assert found.mean.value == pytest.approx(mean, abs=6e-9)
    assert found.second.value == pytest.approx(second, abs=6e-9)
    assert found.slope_second.value == pytest.approx(slope_second, abs=6e-7)
    forward = found.gains[0].value
    assert forward is not None
    assert forward.value == pytest.approx(gain, abs=6e-8)
    assert_right(found.variance, found.second.value - found.mean.value**2)
    assert_right(found.chi_1, found.slope_second.value / found.second.value)


@pytest.mark.parametrize(
    ("formula", "kinks"),
    [
        ("max(x - 0.37, 0.2*x)", [0.4625]),
        ("elu(2*x + 1)", [-0.5]),
        ("abs(tanh(x) - 0.5)", [math.atanh(0.5)]),
    ],
)
def test_scipy_agrees(formula: str, kinks: list[float]) -> None:
    expr = parse(formula)

    def value(z: float) -> float:
        return float(evaluate(expr, {"x": torch.tensor(z, dtype=torch.float64)}))

    found = field(formula)
    for figure, power in ((found.mean, 1), (found.second, 2)):
        truth, _ = quad(lambda z, p=power: value(z) ** p * norm.pdf(z), -9, 9, points=kinks)
        assert figure is not None and figure.value == pytest.approx(truth, abs=1e-8)


@pytest.mark.parametrize("formula", [GELU, "elu(x)", "sin(3*x) - x", "step(x - 0.37)"])
def test_samples_agree(formula: str) -> None:
    count, generator = 1_000_000, torch.Generator().manual_seed(7)
    points = torch.randn(count, generator=generator, dtype=torch.float64)
    value, found = evaluate(parse(formula), {"x": points}), field(formula)
    for figure, sample in ((found.mean, value), (found.second, value.square())):
        assert figure is not None
        spread = 5 * float(sample.std()) / math.sqrt(count)
        assert abs(float(sample.mean()) - figure.value) <= spread


@settings(max_examples=10)
@given(
    st.sampled_from([GELU, "relu(x)", "tanh(x)", "elu(x)", "step(x - 0.3)", "x*cos(x)"]),
    st.floats(0.02, 50),
)
def test_scaling_the_function(formula: str, scale: float) -> None:
    plain, scaled = field(formula), field(f"{scale!r}*({formula})")
    for name, power in (("mean", 1), ("second", 2), ("variance", 2), ("slope_second", 2)):
        before, after = getattr(plain, name), getattr(scaled, name)
        assert after.value == pytest.approx(before.value * scale**power, rel=1e-9, abs=1e-12)
    assert scaled.kernel_class == plain.kernel_class
    assert scaled.chi_1 is not None and plain.chi_1 is not None
    assert scaled.chi_1.value == pytest.approx(plain.chi_1.value, rel=1e-9)
    for before, after in zip(plain.hermite, scaled.hermite, strict=True):
        assert after.value == pytest.approx(before.value, abs=1e-9)


def test_gains_by_convention() -> None:
    relu = gains("relu(x)")
    assert_right(relu["forward"], math.sqrt(2))
    assert_right(relu["backward"], math.sqrt(2))
    assert_right(relu["centred"], (0.5 - 0.5 / math.pi) ** -0.5)
    assert_right(relu["linear part"], 2)
    assert relu["slope at 0"] is None
    # The paper's 3.6 for the logistic function, and 1 for tanh.
    sigmoid = gains("sigmoid(x)")["slope at 0"]
    assert sigmoid is not None and round(sigmoid.value, 1) == 3.6
    assert_right(sigmoid, 4 / math.sqrt(1.25))
    assert_right(gains("tanh(x)")["slope at 0"], 1)
    even = gains("cos(x)")
    assert even["slope at 0"] is None and even["linear part"] is None
    assert gains("step(x)")["backward"] is None and gains("x - x")["forward"] is None


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("relu(x)", "relu"),
        ("max(0, x)", "relu"),
        ("tanh(x)", "tanh"),
        ("1/(1 + exp(-x))", "sigmoid"),
        ("x + 0", "linear"),
        ("selu(x)", "selu"),
        ("max(a[0.01]*x, x)", "leaky_relu"),
        (GELU, None),
    ],
)
def test_the_gain_of_torch_is_found_for_the_same_function(formula: str, name: str | None) -> None:
    found = gains(formula)["torch"]
    if name is None:
        assert found is None
    else:
        assert found is not None and found.value == calculate_gain(name)


def test_selu_is_drawn_to_mean_0_and_variance_1() -> None:
    point = field("selu(x)").fixed_point
    assert point is not None and point.attracting
    assert_right(point.mean, 0)
    assert_right(point.variance, 1)
    # The Jacobian of the paper at (0, 1) is ((0, 0.088834), (0, 0.782648)).
    assert point.eigenvalues == pytest.approx((0.782648, 0), abs=5e-7)
    assert point.norm == pytest.approx(math.hypot(0.088834, 0.782648), abs=5e-7)


@pytest.mark.parametrize("formula", ["erf(x)", "1.5*sigmoid(4*x)", "selu(x)", "1.3*tanh(x) + 0.2"])
def test_iteration_ends_at_an_attracting_fixed_point(formula: str) -> None:
    point, expr = field(formula).fixed_point, parse(formula)
    assert point is not None and point.attracting
    z = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    weights = torch.exp(-z.square() / 2)
    weights /= weights.sum()
    variance = 1.3 * point.variance.value
    for _ in range(300):
        value = evaluate(expr, {"x": math.sqrt(variance) * z})
        mean = float(weights @ value)
        variance = float(weights @ value.square()) - mean**2
    assert mean == pytest.approx(point.mean.value, abs=1e-6)
    assert variance == pytest.approx(point.variance.value, abs=1e-6)


def test_where_nothing_draws() -> None:
    # Their variance shrinks always, of the clipped line by 1e-17 while it is small.
    for formula in ("relu(x)", "sin(x)", "min(max(x, -1), 1)", "softsign(x)"):
        assert field(formula).fixed_point is None
    identity = field("x").fixed_point
    assert identity is not None and not identity.attracting
    assert_right(identity.variance, 1)


def test_the_edge_of_chaos_of_linear_and_relu_is_a_point() -> None:
    for formula, weights in (("x", 1.0), ("relu(x)", 2.0), ("-3*x", 1 / 9)):
        edge = field(formula).edge_of_chaos
        assert edge is not None and len(edge) == 1
        assert edge[0] == pytest.approx((weights, 0), abs=1e-12)


@pytest.mark.parametrize("length", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_the_edge_of_chaos_of_erf(length: float) -> None:
    second = 2 / math.pi * math.asin(2 * length / (1 + 2 * length))
    weights = math.pi / 4 * math.sqrt(1 + 4 * length)
    expected = weights, length - weights * second
    assert critical_point(parse("erf(x)"), length) == pytest.approx(expected, rel=1e-12)
    edge = field("erf(x)").edge_of_chaos
    assert edge is not None and edge[0] == pytest.approx((math.pi / 4, 0))
    assert any(point == pytest.approx(expected, rel=1e-12) for point in edge)


def test_the_edge_of_chaos_of_tanh() -> None:
    edge = field("tanh(x)").edge_of_chaos
    assert edge is not None and edge[0] == (1, 0)

    def biases(length: float) -> float:
        point = critical_point(parse("tanh(x)"), length)
        assert point is not None
        return point.biases - 0.05

    # Schoenholz et al. 2016: with a variance of biases of 0.05 it is 1.76.
    point = critical_point(parse("tanh(x)"), brentq(biases, 0.1, 2))
    assert point is not None and point.weights == pytest.approx(1.76, abs=0.005)


@pytest.mark.parametrize("formula", ["tanh(x)", GELU, "elu(x)"])
def test_lengths_are_drawn_to_a_critical_point(formula: str) -> None:
    expr, length = parse(formula), 4.0
    point = critical_point(expr, length)
    assert point is not None
    z = torch.linspace(-8, 8, 1001, dtype=torch.float64)
    weights = torch.exp(-z.square() / 2)
    weights /= weights.sum()
    for start in (0.9, 1.1):
        q = start * length
        for _ in range(2000):
            value = evaluate(expr, {"x": math.sqrt(q) * z})
            q = point.weights * float(weights @ value.square()) + point.biases
        assert q == pytest.approx(length, rel=1e-3)


def test_a_point_that_repels_is_none() -> None:
    assert critical_point(parse(GELU), 0.25) is None
    assert critical_point(parse("softplus(x)"), 1.0) is None
    assert field("step(x)").edge_of_chaos is None


def arc_cosine(c: float) -> float:
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


KERNELS = {
    "relu(x)": arc_cosine,
    "sign(x)": lambda c: 2 / math.pi * math.asin(c),
    "step(x)": lambda c: 2 * (0.25 + math.asin(c) / (2 * math.pi)),
    "erf(x)": lambda c: math.asin(2 * c / 3) / math.asin(2 / 3),
    "sin(x)": lambda c: math.sinh(c) / math.sinh(1),
    "cos(x)": lambda c: math.cosh(c) / math.cosh(1),
    "exp(x)": lambda c: math.exp(c - 1),
    "x": lambda c: c,
    "square(x)": lambda c: (1 + 2 * c * c) / 3,
    "cube(x)": lambda c: (9 * c + 6 * c**3) / 15,
    "abs(x)": lambda c: 2 / math.pi * (math.sqrt(1 - c * c) + c * math.asin(c)),
}


@pytest.mark.parametrize("formula", KERNELS)
def test_the_correlation_map(formula: str) -> None:
    found = field(formula).correlation_map
    assert [c for c, _ in found] == [-0.9, -0.5, 0.0, 0.5, 0.9]
    for before, after in found:
        assert abs(after.value - KERNELS[formula](before)) <= after.error + 1e-14
        assert after.error < 1e-6


def test_an_integral_over_the_plane_gives_the_same_correlation() -> None:
    def value(z: np.ndarray) -> np.ndarray:
        return z * norm.cdf(z - 0.3)

    found = field("x*normal_cdf(x - 0.3)")
    places, weights = np.polynomial.hermite_e.hermegauss(80)
    weights /= weights.sum()
    u, v = np.meshgrid(places, places)
    assert found.second is not None
    for before, after in found.correlation_map:
        products = value(u) * value(before * u + math.sqrt(1 - before**2) * v)
        truth = float(weights @ products @ weights) / found.second.value
        assert after.value == pytest.approx(truth, abs=1e-9)


def test_hermite_polynomials_have_one_coefficient() -> None:
    # Probabilists' He_k over sqrt(k!).
    for degree in range(1, 10):
        powers = np.polynomial.hermite_e.herme2poly([0] * degree + [1])
        text = " + ".join(f"({float(c)!r})*x^{k}" if k else repr(c) for k, c in enumerate(powers))
        found = field(text.replace("np.float64", "")).hermite
        assert [a.value for a in found] == pytest.approx(np.eye(10)[degree], abs=1e-9)


def test_hermite_coefficients_of_relu() -> None:
    root = math.sqrt(math.pi)
    expected = [1 / root, 1 / math.sqrt(2), 1 / math.sqrt(2 * math.pi), 0]
    expected.append(-1 / math.sqrt(24 * math.pi))
    for coefficient, truth in zip(field("relu(x)").hermite, expected, strict=False):
        assert_right(coefficient, truth)


@pytest.mark.parametrize("formula", [GELU, "step(x - 0.4)", "exp(x)", "elu(x)", "x*cos(x)"])
def test_squares_of_coefficients_sum_to_at_most_1(formula: str) -> None:
    total = sum(a.value**2 for a in field(formula).hermite)
    assert 0.8 < total <= 1 + 1e-12


# Squares of the coefficients of f; E f is 0 or not, E f' is 0 or not.
CLASSES = {
    "square(x) - 1": ([0, 0, 1], "1-nearest neighbour"),
    "x^4 - 6*x^2 + 3": ([0, 0, 0, 0, 1], "1-nearest neighbour"),
    "cube(x)": ([0, 9 / 15, 0, 6 / 15], "singular kernel"),
    "square(x)": ([1 / 3, 0, 2 / 3], "majority vote"),
    "x + square(x)": ([1 / 4, 1 / 4, 2 / 4], "majority vote"),
}


@pytest.mark.parametrize("formula", CLASSES)
def test_the_kernel_class_is_that_of_a_deep_tangent_kernel(formula: str) -> None:
    squares, expected = CLASSES[formula]
    assert field(formula).kernel_class == expected
    dual = np.polynomial.Polynomial(squares)
    slope = dual.deriv()

    def kernel(correlation: float, depth: int) -> float:
        found = correlation
        for _ in range(depth):
            found = dual(correlation) + found * slope(correlation)
            correlation = dual(correlation)
        return found

    # A few layers are enough where correlations fall faster than any power.
    depths = (2, 3) if expected == "1-nearest neighbour" else (200, 400)
    near, far, own = ([kernel(c, depth) for depth in depths] for c in (0.8, 0.4, 1.0))
    ratios = [f / n for f, n in zip(far, near, strict=True)]
    if expected == "majority vote":
        assert ratios == pytest.approx([1, 1], abs=1e-6)
    elif expected == "singular kernel":
        assert ratios[1] == pytest.approx(ratios[0], rel=0.02) and 0 < ratios[1] < 0.9
        assert near[1] / own[1] < 1e-6 * near[0] / own[0]
    else:
        assert ratios[1] < ratios[0] ** 1.9


def test_the_order_of_a_singular_kernel() -> None:
    # In units of a_1^(2 depth) correlations tend to a function that grows like distance^-order.
    order = field("cube(x)").kernel_order
    assert order is not None

    def limit(distance: float) -> float:
        correlation = 1 - distance**2 / 2
        for _ in range(100):
            correlation = 0.6 * correlation + 0.4 * correlation**3
        return correlation / 0.6**100

    # Over one whole period of log(distance), B' = 1.8, the ripple is the same.
    steps = [limit(1e-3 / 1.8**k) for k in (0, 2)]
    assert math.log(steps[1] / steps[0]) / (2 * math.log(1.8)) == pytest.approx(
        order.value, rel=1e-3
    )
    assert field("relu(x)").kernel_order is None


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_order_of_kernels_made_for_so_many_dimensions(dimensions: int) -> None:
    # E f^2 = 1, a_1^2 = share, and all else is at degree 4: E f'^2 is share + 4 (1 - share).
    def excess(share: float) -> float:
        return 2 * math.log(share) / math.log(share + 4 * (1 - share)) + dimensions

    share = brentq(excess, 0.01, 0.9999, xtol=1e-15)
    fourth = math.sqrt((1 - share) / 24)
    found = field(f"{math.sqrt(share)!r}*x + {fourth!r}*(x^4 - 6*square(x) + 3)")
    assert found.kernel_class == "singular kernel"
    assert_right(found.kernel_order, dimensions)


def test_kernel_classes_of_known_functions() -> None:
    assert field("relu(x)").kernel_class == "majority vote"
    assert field("selu(x)").kernel_class == "singular kernel"
    # Linear, or with a kernel that becomes constant, or no slope at all.
    for formula in ("x", "2*x", "softplus(x)", "sigmoid(x)", "0*x + 1", "sign(x)", "step(x)"):
        assert field(formula).kernel_class is None


@pytest.mark.parametrize(
    "formula",
    [
        *("exp(square(x))", "sinh(200*x)", "1/x", "log(x)", "sqrt(x)", "exp(exp(x))", "x - x"),
        *("signed_sqrt(x)", "1/square(x)", "cube(x)*exp(square(x))", "0*x + 3", "sin(40000*x)"),
        *("log(abs(x))", "x/sqrt(1 - square(x))", "exp(0 - 1/square(x))", "sinc_slope(x)"),
    ],
)
def test_no_figure_is_not_a_number(formula: str) -> None:
    assert not any(math.isnan(number) for number in numbers(field(formula)))


def test_what_diverges_is_infinite_and_has_no_gain() -> None:
    found = field("exp(square(x))")
    assert found.mean is not None and found.mean.value == math.inf
    assert found.second is not None and found.second.value == math.inf
    assert found.chi_1 is None and found.variance is None and found.hermite == ()
    assert all(gain.value is None for gain in found.gains)
    assert field("1/x").mean is None
    root = field("signed_sqrt(x)")
    assert root.chi_1 is not None and root.chi_1.value == math.inf


def test_an_operator_without_a_slope_still_has_moments_of_its_value() -> None:
    found = field("sinc_slope(x)")
    assert found.second is not None and found.second.value > 0
    assert found.slope_second is None and found.chi_1 is None


@pytest.mark.parametrize(
    ("formula", "names", "problem"),
    [
        ("u*sigmoid(v)", ("u", "v"), "reads u and v"),
        ("2.0", ("x",), "reads no input"),
        ("x/std_layer(x)", ("x",), "reads a whole tensor"),
    ],
)
def test_what_is_no_function_of_x_is_refused(
    formula: str, names: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        mean_field_of(parse(formula, input_names=names))
