"""Shares near zero against closed forms and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from actsearch.primitives import parse
from actsearch.primitives.analysis.figure import Figure
from actsearch.primitives.analysis.sparsity import NEGLIGIBLE, Sparsity, sparsity_of
from actsearch.primitives.lowering.eager import value_and_slopes


def assert_right(found: Figure | None, truth: float) -> None:
    assert found is not None
    assert abs(found.value - truth) <= found.error + 1e-14
    assert found.error < 1e-9


def between(low: float, high: float) -> float:
    return float(norm.cdf(high) - norm.cdf(low))


def test_relu() -> None:
    found = sparsity_of(parse("relu(x)"))
    assert_right(found.output, norm.cdf(NEGLIGIBLE * math.sqrt(0.5)))
    for share in (found.slope, found.output_zero, found.slope_zero):
        assert_right(share, 0.5)


@settings(max_examples=20)
@given(st.floats(-2.5, 2.5))
def test_a_threshold_anywhere(threshold: float) -> None:
    found = sparsity_of(parse(f"x*step(x - ({threshold!r}))"))
    assert_right(found.output_zero, norm.cdf(threshold))
    assert_right(found.slope_zero, norm.cdf(threshold))


def test_a_clipped_line() -> None:
    found = sparsity_of(parse("min(max(x, -1), 1)"))
    flat = 2 * norm.sf(1)
    second = between(-1, 1) - 2 * norm.pdf(1) + flat
    threshold = NEGLIGIBLE * math.sqrt(second)
    assert_right(found.output, between(-threshold, threshold))
    assert_right(found.output_zero, 0.0)
    assert_right(found.slope_zero, flat)
    assert_right(found.slope, flat)


def test_a_saturating_gradient() -> None:
    found = sparsity_of(parse("erf(x)"))
    rms = math.sqrt(4 / math.pi / math.sqrt(5))
    edge = math.sqrt(math.log(2 / math.sqrt(math.pi) / (NEGLIGIBLE * rms)))
    assert_right(found.slope, 2 * norm.sf(edge))
    assert_right(found.slope_zero, 0.0)


@pytest.mark.parametrize("rate", [1.0, 7.0, 50.0])
def test_many_narrow_crossings_are_all_found(rate: float) -> None:
    found = sparsity_of(parse(f"sin({rate}*x)"))
    half = math.asin(NEGLIGIBLE * math.sqrt((1 - math.exp(-2 * rate**2)) / 2)) / rate
    places = np.arange(-200, 201) * math.pi / rate
    assert_right(found.output, float(np.sum(norm.cdf(places + half) - norm.cdf(places - half))))


@pytest.mark.parametrize(
    "formula", ["x*normal_cdf(x)", "1/(1 + square(square(x)))", "elu(x - 1)", "x*exp(-square(x))"]
)
def test_samples_agree(formula: str) -> None:
    count, generator = 400_000, torch.Generator().manual_seed(5)
    points = torch.randn(count, generator=generator, dtype=torch.float64)
    value, (slope,) = value_and_slopes(parse(formula), {"x": points})
    found = sparsity_of(parse(formula))
    for share, sample in ((found.output, value), (found.slope, slope)):
        assert share is not None
        near = sample.abs() <= NEGLIGIBLE * sample.square().mean().sqrt()
        # Five standard deviations; the estimated threshold adds less than half as much.
        spread = 7.5 * math.sqrt(share.value * (1 - share.value) / count)
        assert abs(float(near.double().mean()) - share.value) <= spread


@settings(max_examples=10)
@given(
    st.sampled_from(["relu(x)", "tanh(x)", "x*sigmoid(x)", "sin(3*x)", "max(x, 0.1*x) - 0.2"]),
    st.floats(0.01, 100),
)
def test_scale_does_not_matter(formula: str, scale: float) -> None:
    plain, scaled = sparsity_of(parse(formula)), sparsity_of(parse(f"{scale!r}*({formula})"))
    for before, after in zip(vars(plain).values(), vars(scaled).values(), strict=True):
        assert after.value == pytest.approx(before.value, abs=1e-12)


def test_what_is_flat_has_no_gradient() -> None:
    for formula in ("step(x)", "0*x + 3", "sign(x - 0.2)"):
        found = sparsity_of(parse(formula))
        assert_right(found.slope, 1.0)
        assert_right(found.slope_zero, 1.0)
    assert_right(sparsity_of(parse("x - x")).output, 1.0)


def test_without_a_second_moment_only_exact_zeros_count() -> None:
    found = sparsity_of(parse("relu(x)*exp(square(x))"))
    assert found.output is None and found.slope is None
    assert_right(found.output_zero, 0.5)
    assert_right(found.slope_zero, 0.5)


def test_what_is_undefined_somewhere_has_no_share() -> None:
    assert sparsity_of(parse("log(x)")) == Sparsity(None, None, None, None)
