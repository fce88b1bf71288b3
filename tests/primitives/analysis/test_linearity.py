"""The linearity score against closed forms and a regression."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from actsearch.primitives import evaluate, parse, read_formula
from actsearch.primitives.analysis.linearity import linearity_of

FORMULAS = ["relu(x)", "x*normal_cdf(x)", "tanh(x - 0.3)", "max(x, 0.1*x)", "sin(2*x)", "exp(x)"]

EXACT = {
    "x": 1.0,
    "3 - 0.2*x": 1.0,
    "relu(x)": 0.25 / (0.5 - 0.5 / math.pi),
    "sign(x)": 2 / math.pi,
    "step(x)": 2 / math.pi,
    "cube(x)": 9 / 15,
    "square(x) + x": 1 / 3,
    "sin(x)": math.exp(-1) / ((1 - math.exp(-2)) / 2),
    "exp(x)": math.exp(1) / (math.exp(2) - math.exp(1)),
    "erf(x)": (4 / math.pi / 3) / (2 / math.pi * math.asin(2 / 3)),
    "abs(x)": 0.0,
    "exp(-square(x))": 0.0,
    "2*sinh(x)": 4 * math.exp(1) / (4 * (math.exp(2) - 1) / 2),
}


@pytest.mark.parametrize("formula", EXACT)
def test_closed_forms(formula: str) -> None:
    found = linearity_of(parse(formula))
    assert found is not None
    assert abs(found.value - EXACT[formula]) <= found.error + 1e-15
    assert found.error < 1e-12


@pytest.mark.parametrize("formula", [*FORMULAS, "step(x - 0.37)", "elu(3*x + 1)"])
def test_a_regression_on_many_points_agrees(formula: str) -> None:
    points = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    value = evaluate(parse(formula), {"x": torch.from_numpy(points)}).numpy()
    found = linearity_of(parse(formula))
    assert found is not None
    assert found.value == pytest.approx(np.corrcoef(points, value)[0, 1] ** 2, rel=1e-2)


@given(
    st.sampled_from(FORMULAS),
    st.floats(-9, 9).filter(lambda scale: abs(scale) > 0.01),
    st.floats(-9, 9),
)
def test_neither_scale_nor_offset_matters(formula: str, scale: float, offset: float) -> None:
    plain = linearity_of(parse(formula))
    moved = linearity_of(parse(f"({scale!r})*({formula}) + ({offset!r})"))
    assert plain is not None and moved is not None
    assert moved.value == pytest.approx(plain.value, rel=1e-8)


@pytest.mark.parametrize("formula", ["0*x + 3.3", "x - x", "exp(square(x))", "1/x", "log(x)"])
def test_without_a_variance_there_is_no_score(formula: str) -> None:
    assert linearity_of(parse(formula)) is None


def test_trainable_parameters_are_at_their_start() -> None:
    assert linearity_of(parse("max(x, a[0.25, channel]*x)")) == linearity_of(
        parse("max(x, 0.25*x)")
    )


def test_a_constant_is_refused() -> None:
    with pytest.raises(ValueError, match="reads no input"):
        linearity_of(parse("2.0"))


def test_a_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="reads a whole tensor"):
        linearity_of(parse("x/std_layer(x)"))


@pytest.mark.parametrize("name", ["softmax", "rrelu", "gdn", "cats"])
def test_words_that_are_no_moments_are_refused_too(name: str) -> None:
    with pytest.raises(ValueError, match="draws or reads a whole tensor; take the function"):
        linearity_of(read_formula(name))
