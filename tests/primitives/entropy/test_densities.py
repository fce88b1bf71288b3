"""Densities, their scores and distribution functions, against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from actsearch.errors import ConfigError
from actsearch.primitives import evaluate
from actsearch.primitives.entropy import (
    DENSITIES,
    Density,
    cauchy,
    density_named,
    laplace,
    logistic,
    normal,
    student,
    uniform,
    worst_activation,
)

LAWS = [
    (normal(), stats.norm()),
    (normal(0.7, 0.2), stats.norm(0.7, 0.2)),
    (logistic(-1.0, 2.0), stats.logistic(-1.0, 2.0)),
    (laplace(0.3, 0.5), stats.laplace(0.3, 0.5)),
    (student(), stats.t(3)),
    (student(4.0, 0.5, 2.0), stats.t(4, 0.5, 2.0)),
    (student(30.0), stats.t(30)),
    (cauchy(1.0, 3.0), stats.cauchy(1.0, 3.0)),
    (uniform(1.0, 2.0), stats.uniform(-1.0, 4.0)),
]
NAMES = [density.name for density, _ in LAWS]


def inside(density: Density) -> torch.Tensor:
    """Points of its support; neither an end nor a centre."""
    points = density.location + density.scale * torch.linspace(-6, 6, 102, dtype=torch.float64)
    return points[(points > density.low) & (points < density.high)]


@pytest.mark.parametrize(("density", "law"), LAWS, ids=NAMES)
def test_values_and_scores_are_those_of_scipy(density: Density, law) -> None:
    x = inside(density)
    np.testing.assert_allclose(evaluate(density.expr, {"x": x}), law.pdf(x.numpy()), rtol=1e-12)
    h = 1e-5 * density.scale
    score = (law.logpdf(x.numpy() - h) - law.logpdf(x.numpy() + h)) / (2 * h)
    found = evaluate(density.score, {"x": x})
    np.testing.assert_allclose(found, score, rtol=1e-6, atol=1e-6 / density.scale)


@pytest.mark.parametrize(("density", "law"), LAWS, ids=NAMES)
def test_the_worst_activation_is_the_distribution_function_between_its_bounds(
    density: Density, law
) -> None:
    if density.cdf is None:
        with pytest.raises(ValueError, match=r"no distribution function of student\("):
            worst_activation(density)
        return
    x = density.location + density.scale * torch.linspace(-6, 6, 102, dtype=torch.float64)
    found = evaluate(worst_activation(density, -1.0, 3.0), {"x": x})
    np.testing.assert_allclose(found, 4 * law.cdf(x.numpy()) - 1, atol=1e-13)


def test_density_terms_are_the_texts_that_runs_have_recorded() -> None:
    laws = (normal(), normal(0, 0.5), normal(0, 2), logistic(), student(), cauchy())
    assert [str(law.slope_term) for law in laws] == [
        "mul(x, exp(mul(-0.5, square(x))))",
        "mul(x, exp(mul(-2, square(x))))",
        "mul(x, exp(mul(-0.125, square(x))))",
        "mul(2, mul(tanh(mul(0.5, x)), sech_squared(mul(0.5, x))))",
        "div(x, cube(add(1, div(square(x), 3))))",
        "div(x, square(add(1, square(x))))",
    ]


@pytest.mark.parametrize("name", DENSITIES)
def test_impossible_numbers_are_refused_by_name(name: str) -> None:
    for scale in (0.0, -1.0, math.nan, math.inf, 1e9):
        with pytest.raises(ConfigError, match=f"of a {name} density"):
            density_named(name, 0.0, scale)
    with pytest.raises(ConfigError, match=f"location inf of a {name} density"):
        density_named(name, math.inf, 1.0)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'gaussian'; there are normal, logistic"):
        density_named("gaussian")
    with pytest.raises(ConfigError, match="did you mean 'laplace'"):
        density_named("laplacian")


def test_bounds_and_degrees_of_freedom_are_checked() -> None:
    with pytest.raises(ValueError, match=r"low < high; got 1\.0, 1\.0"):
        worst_activation(normal(), 1.0, 1.0)
    with pytest.raises(ConfigError, match="freedom=0"):
        student(0.0)
