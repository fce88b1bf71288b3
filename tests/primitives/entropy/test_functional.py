"""Entropies of outputs, against scipy's and closed forms."""

from __future__ import annotations

import math

import pytest
from scipy import stats
from scipy.integrate import quad

from actsearch.primitives import evaluate, infix, parse
from actsearch.primitives.entropy import (
    Density,
    cauchy,
    correction,
    entropy,
    laplace,
    logistic,
    normal,
    scale_free_entropy,
    student,
    uniform,
)
from actsearch.primitives.entropy.exact import exact_entropy, exact_first_order, within
from actsearch.primitives.entropy.functional import sloped


@pytest.mark.parametrize(
    ("density", "law"),
    [
        (normal(0.5, 2.0), stats.norm(0.5, 2.0)),
        (logistic(1.0, 0.5), stats.logistic(1.0, 0.5)),
        (laplace(0.0, 3.0), stats.laplace(0.0, 3.0)),
        (student(5.0), stats.t(5)),
        (cauchy(2.0, 0.1), stats.cauchy(2.0, 0.1)),
        (uniform(0.0, 0.3), stats.uniform(-0.3, 0.6)),
    ],
)
def test_the_identity_has_the_entropy_of_the_input(density: Density, law) -> None:
    found = entropy(parse("x"), density)
    assert found.value == pytest.approx(float(law.entropy()), abs=1e-8)
    assert found.error < 1e-8
    assert entropy(parse("-3*x + 1"), density).value == pytest.approx(found.value + math.log(3))


def test_exp_of_a_normal_input_has_the_entropy_of_the_lognormal_law() -> None:
    expected = float(stats.lognorm(0.7).entropy())
    assert entropy(parse("exp(x)"), normal(0.0, 0.7)).value == pytest.approx(expected, abs=1e-10)


def test_the_entropy_is_that_of_the_output_density() -> None:
    def density_of_output(y: float) -> float:
        return float(stats.norm.pdf(math.atanh(y)) / (1 - y * y))

    def integrand(y: float) -> float:
        q = density_of_output(y)
        return -q * math.log(q) if q > 0 else 0.0

    expected = quad(integrand, -1 + 1e-12, 1 - 1e-12, limit=200)[0]
    assert entropy(parse("tanh(x)"), normal()).value == pytest.approx(expected, abs=1e-7)


def test_the_output_of_a_distribution_function_is_uniform() -> None:
    assert entropy(parse("normal_cdf(x)"), normal()).value == pytest.approx(0, abs=1e-12)
    assert entropy(parse("5*sigmoid(x)"), logistic()).value == pytest.approx(math.log(5))


def test_zeros_of_the_slope_are_integrated_over() -> None:
    # ln|3 x^2| has a singularity at 0; E ln|x| = -(gamma + ln 2)/2 for a normal input.
    gamma = 0.5772156649015329
    expected = 0.5 * math.log(2 * math.pi * math.e) + math.log(3) - (gamma + math.log(2))
    assert entropy(parse("x^3"), normal()).value == pytest.approx(expected, abs=1e-9)


def test_a_flat_stretch_has_an_atom_and_the_rest_its_own_entropy() -> None:
    assert entropy(parse("relu(x)"), normal()).value == -math.inf
    where = sloped(parse("relu(x)"), normal())
    assert where == ((0.0, math.inf),)
    half = float(stats.halfnorm.entropy())
    assert entropy(parse("relu(x)"), normal(), where).value == pytest.approx(half, abs=1e-10)


@pytest.mark.parametrize("formula", ["tanh(x)", "softplus(x)", "elu(x)", "x^3"])
def test_the_scale_free_entropy_does_not_see_scale_and_shift(formula: str) -> None:
    expr = parse(formula)
    plain = scale_free_entropy(expr, normal()).value
    for scale, shift in ((7.0, 0.0), (-0.2, 3.0)):
        moved = parse(f"{scale}*({infix(expr)}) + {shift}")
        assert scale_free_entropy(moved, normal()).value == pytest.approx(plain, abs=1e-8)
        assert entropy(moved, normal()).value == pytest.approx(
            entropy(expr, normal()).value + math.log(abs(scale)), abs=1e-8
        )


def test_the_normal_law_has_the_largest_scale_free_entropy() -> None:
    largest = scale_free_entropy(parse("x"), normal()).value
    assert largest == pytest.approx(0.5 * math.log(2 * math.pi * math.e))
    for density in (logistic(), laplace(), uniform(), student(5.0)):
        assert scale_free_entropy(parse("x"), density).value < largest - 1e-3


def test_an_infinite_variance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cauchy\(0, 1\) the function has no finite variance"):
        scale_free_entropy(parse("x"), cauchy())
    assert math.isfinite(scale_free_entropy(parse("atan(x)"), cauchy()).value)


def test_exact_figures_are_closed_forms_of_the_numeric_ones() -> None:
    found = exact_entropy(parse("exp(x)"), normal())
    assert found.exact
    assert found.value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-12)
    assert "log(pi)/2" in found.text
    slope = exact_first_order(correction(parse("relu(x)"), normal()))
    assert (slope.exact, slope.text) == (True, "sqrt(2)/4")


def test_past_the_limit_of_time_the_figure_is_numeric() -> None:
    found = exact_first_order(correction(parse("relu(x)"), normal()), seconds=0.0)
    assert not found.exact
    assert found.value == pytest.approx(1 / (2 * math.sqrt(2)), abs=1e-12)

    def endless() -> None:
        while True:
            pass

    assert within(0.05, endless) is None
    assert within(5.0, lambda: evaluate(parse("x"), {"x": _one()}).item()) == 1.0


def _one():
    import torch

    return torch.ones((), dtype=torch.float64)
