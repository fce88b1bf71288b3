"""Figures of a few bits against closed forms, torch's own quantiser and a staircase built from
the inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from actsearch.primitives import evaluate, parse
from actsearch.primitives.analysis.expectation import expectation, samples
from actsearch.primitives.analysis.quantisation import BITS, REACH, Quantisation, quantisation_of

FORMULAS = ["relu(x)", "x*normal_cdf(x)", "tanh(x)", "elu(x)", "sigmoid(x)", "max(x, 0.1*x)"]


def by_bits(formula: str) -> dict[int, Quantisation]:
    return {q.bits: q for q in quantisation_of(parse(formula))}


@pytest.mark.parametrize("bits", BITS)
def test_the_identity(bits: int) -> None:
    found, step = by_bits("x")[bits], 2 * REACH / (2**bits - 1)
    assert found.zero_share.value == pytest.approx(2 * norm.cdf(step / 2) - 1, abs=1e-12)
    # With zero a level, one of the ends is half a step off the grid.
    assert found.largest_error.value == pytest.approx(step / 2, rel=0.01)
    # E (|z| - 4)^2 beyond 4 is what clipping adds.
    clipped = 2 * ((REACH**2 + 1) * norm.sf(REACH) - REACH * norm.pdf(REACH))
    assert found.mean_error.value == pytest.approx(math.sqrt(step**2 / 12 + clipped), rel=0.01)
    assert found.noise_gain.value == pytest.approx(1, abs=1e-9)
    assert found.slope_error is not None and found.slope_error.value == 0


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_the_quantiser_of_torch_agrees(formula: str, bits: int) -> None:
    expr = parse(formula)
    grid = torch.linspace(-REACH, REACH, 40_001, dtype=torch.float64)
    span = evaluate(expr, {"x": grid})
    low, high = min(0.0, float(span.min())), max(0.0, float(span.max()))
    step = (high - low) / (2**bits - 1)
    points = torch.linspace(-7, 7, 1_000_001, dtype=torch.float64)
    weights = torch.exp(-points.square() / 2)
    weights /= weights.sum()
    value = evaluate(expr, {"x": points})
    size = math.sqrt(float(weights @ value.square()))
    quantised = torch.fake_quantize_per_tensor_affine(
        value.float(), step, round(-low / step), 0, 2**bits - 1
    ).double()
    found, error = by_bits(formula)[bits], (quantised - value).abs()
    assert found.mean_error.value == pytest.approx(
        math.sqrt(float(weights @ error.square())) / size, rel=0.01
    )
    assert found.largest_error.value == pytest.approx(
        float(error[points.abs() <= REACH].max()) / size, rel=0.02
    )
    zeros = float(weights @ (quantised == 0).double())
    assert found.zero_share.value == pytest.approx(zeros, abs=1e-4)


def test_the_staircase_is_that_of_a_ramp_built_from_the_inverse() -> None:
    for bits in BITS:
        low, high = math.tanh(-REACH), math.tanh(REACH)
        step = (high - low) / (2**bits - 1)
        levels = step * (np.arange(2**bits) + round(low / step))
        # A level is kept until the ramp passes the middle to the next one.
        middles = (levels[1:] + levels[:-1]) / 2
        thresholds = np.arctanh(np.clip(middles, -1, 1))
        points = np.linspace(-7, 7, 1 << 17)
        weights = norm.pdf(points) / norm.pdf(points).sum()
        stairs = levels[np.searchsorted(thresholds, points)]
        size = math.sqrt(weights @ np.tanh(points) ** 2)
        error = math.sqrt(weights @ (stairs - np.tanh(points)) ** 2) / size
        assert by_bits("tanh(x)")[bits].mean_error.value == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("formula", FORMULAS)
def test_fewer_bits_are_worse(formula: str) -> None:
    found = by_bits(formula)
    assert list(found) == list(BITS)
    for name in ("largest_error", "mean_error", "zero_share", "slope_error"):
        fine, rough = (getattr(found[bits], name).value for bits in (8, 4))
        # The share of ReLU begins at one half.
        assert fine < rough


@settings(max_examples=10)
@given(st.sampled_from(FORMULAS), st.floats(0.01, 100))
def test_scale_does_not_matter(formula: str, scale: float) -> None:
    plain, scaled = by_bits(formula), by_bits(f"{scale!r}*({formula})")
    for bits in BITS:
        for name in ("largest_error", "mean_error", "zero_share", "slope_error", "noise_gain"):
            before, after = (getattr(of[bits], name).value for of in (plain, scaled))
            assert after == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("formula", ["x*normal_cdf(x)", "tanh(x)", "sin(x)", "softplus(x)"])
def test_small_noise_grows_as_gradients_do(formula: str) -> None:
    at = samples(parse(formula))
    second = expectation(at, lambda s: s.value**2)
    slope_second = expectation(at, lambda s: s.slope**2)
    assert second is not None and slope_second is not None
    assert by_bits(formula)[8].noise_gain.value == pytest.approx(slope_second / second, rel=1e-3)


def test_the_noise_of_a_sine() -> None:
    # sin(z + e) = sin z cos e + cos z sin e, and E cos e = exp(-variance/2).
    for bits in BITS:
        variance = (2 * REACH / (2**bits - 1)) ** 2 / 12
        second = (1 - math.exp(-2)) / 2
        after = (1 - math.exp(-2 * (1 + variance))) / 2
        change = after + second - 2 * math.exp(-variance / 2) * second
        found = by_bits("sin(x)")[bits].noise_gain.value
        assert found == pytest.approx(change / variance / second, rel=1e-9)


def test_a_kink_near_zero_costs_gradient() -> None:
    # Rounding to 0, with slope 1/2, is an error of 1/2; elsewhere the slope is right.
    for bits in BITS:
        step = 2 * REACH / (2**bits - 1)
        near = (2 * norm.cdf(step / 2) - 1) / (2 * norm.cdf(0.75) - 1)
        found = by_bits("relu(x)")[bits].slope_error
        assert found is not None
        assert found.value == pytest.approx(0.5 * math.sqrt(near) / math.sqrt(0.5), rel=0.05)
    kinked, smooth = by_bits("relu(x)")[8].slope_error, by_bits("x*normal_cdf(x)")[8].slope_error
    assert kinked is not None and smooth is not None
    assert kinked.value > 5 * smooth.value


def test_without_a_slope_there_is_no_slope_error() -> None:
    assert all(q.slope_error is None for q in quantisation_of(parse("step(x)")))


def test_a_slope_that_is_infinite_at_a_level() -> None:
    # Protected division is 0 at 0 and 1 elsewhere to seven digits, so its slope there is 1e7.
    steep = "log(signed_sqrt(pow(protected_div(x, x), mul(x, 1.49))))"
    for found in quantisation_of(parse(steep)):
        assert found.slope_error is not None
        assert (found.slope_error.value, found.slope_error.error) == (math.inf, 0)
        assert math.isfinite(found.mean_error.value)


@pytest.mark.parametrize("formula", ["x - x", "exp(square(x))", "1/x", "log(x)", "sinh(200*x)"])
def test_what_cannot_be_quantised(formula: str) -> None:
    assert quantisation_of(parse(formula)) == ()
