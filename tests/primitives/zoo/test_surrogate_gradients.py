"""Forward and backward pairs against the reference: the value of one, the slope of another."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from agreement import assert_finite, points
from reference import clip, logistic, normal_cdf, number, relu

from actsearch.primitives import known_activations, read_formula, value_and_slopes
from actsearch.primitives.lowering.eager import value_and_gradients


def spike(x):
    return mp.mpf(1 if x > 0 else 0)


def staircase(x):
    step = mp.mpf(6) / 15
    return step * mp.nint(clip(x, 0, 6) / step)


VALUES = {
    "helu": relu,
    "sign_ste": mp.sign,
    "bireal_sign": mp.sign,
    "staircase": staircase,
    "staircase_identity": staircase,
    "staircase_relu": staircase,
    "sugar": relu,
    "excitation_pullback": relu,
    "finer_detached": lambda x: mp.sin(30 * (abs(x) + 1) * x),
    "jumprelu": lambda x: x if x > mp.mpf(1) / 1000 else mp.mpf(0),
    "rsign": mp.sign,
    "spike_atan": spike,
    "spike_fast_sigmoid": spike,
    "lrp_gelu": lambda x: x * normal_cdf(x),
    "lrp_silu": lambda x: x * logistic(x),
}
SLOPES = {
    "helu": lambda x: 1 if x > number("-0.05") else 0,
    "sign_ste": lambda x: 1 if abs(x) <= 1 else 0,
    "bireal_sign": lambda x: max(0, 2 - 2 * abs(x)),
    "staircase": lambda x: 1 if 0 < x < 6 else 0,
    "staircase_identity": lambda x: 1,
    "staircase_relu": lambda x: 1 if x > 0 else 0,
    "sugar": lambda x: logistic(x) + (x + number("1.67")) * logistic(x) * logistic(-x),
    "excitation_pullback": logistic,
    "finer_detached": lambda x: 30 * (abs(x) + 1) * mp.cos(30 * (abs(x) + 1) * x),
    "jumprelu": lambda x: 1 if x > mp.mpf(1) / 1000 else 0,
    "rsign": lambda x: max(0, 2 - 2 * abs(x)),
    "spike_atan": lambda x: 1 / (1 + (mp.pi * x) ** 2),
    "spike_fast_sigmoid": lambda x: 1 / (1 + 25 * abs(x)) ** 2,
    "lrp_gelu": normal_cdf,
    "lrp_silu": logistic,
}
WITHIN = {"finer_detached": 1.0}
"""Where the rounding of w0 (|x| + 1) x is still small beside 1."""


@pytest.mark.parametrize("name", VALUES)
def test_value_and_slope_are_those_of_the_reference(name):
    kinks = known_activations()[name].kinks
    x = [p for p in points(kinks) if abs(p) <= WITHIN.get(name, 100.0)]
    column = torch.tensor(x, dtype=torch.float64)
    value, (slope,) = value_and_slopes(read_formula(name), {"x": column})
    slope = slope.expand_as(value)
    with mp.workdps(60):
        for point, got, got_slope in zip(x, value.tolist(), slope.tolist(), strict=True):
            true, true_slope = (of[name](mp.mpf(point)) for of in (VALUES, SLOPES))
            assert got == pytest.approx(float(true), rel=1e-12, abs=1e-13), point
            assert got_slope == pytest.approx(float(true_slope), rel=1e-12, abs=1e-13), point
    assert_finite(name)


def test_every_row_has_a_truth():
    section = {r.name for r in known_activations().values() if r.section == "surrogate_gradients"}
    assert section <= VALUES.keys()
    assert VALUES.keys() == SLOPES.keys()


@pytest.mark.parametrize("alpha", [0.001, 0.3])
def test_helu_passes_the_gradient_from_its_own_threshold(alpha):
    x = torch.tensor([-2 * alpha, -alpha / 2, alpha], dtype=torch.float64)
    value, (slope,) = value_and_slopes(read_formula(f"helu(alpha={alpha})"), {"x": x})
    assert value.tolist() == [0.0, 0.0, alpha]
    assert slope.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_staircase_has_two_to_the_bits_levels(bits):
    x = torch.linspace(-1, 8, 20_001, dtype=torch.float64)
    value, (slope,) = value_and_slopes(read_formula(f"staircase(bits={bits}, top=3)"), {"x": x})
    levels = value.unique()
    torch.testing.assert_close(levels, torch.linspace(0, 3, 2**bits, dtype=torch.float64))
    assert float((value - x.clamp(0, 3)).abs().max()) <= 1.5 / (2**bits - 1) + 1e-12
    inside = (x > 0) & (x < 3)
    assert slope[inside].eq(1).all() and slope[(x < 0) | (x > 3)].eq(0).all()


def test_jumprelu_trains_its_threshold_by_the_box_kernel():
    """-(t/e) K((x - t)/e), K = 1 on (-1/2, 1/2); times dt/dtheta = t."""
    t, e = 0.001, 0.001
    x = torch.tensor([-1.0, 0.0004, 0.0006, 0.0011, 0.0014, 0.0016, 2.0], dtype=torch.float64)
    _, (_, by_theta) = value_and_gradients(read_formula("jumprelu"), {"x": x})
    expected = ((x - t).abs() < e / 2) * torch.tensor(-t / e * t, dtype=torch.float64)
    torch.testing.assert_close(by_theta, expected, rtol=1e-9, atol=0)


def test_rsign_trains_its_threshold():
    x = torch.tensor([-1.5, -0.5, 0.25, 0.75, 3.0], dtype=torch.float64)
    _, (slope, by_a) = value_and_gradients(read_formula("rsign"), {"x": x})
    torch.testing.assert_close(by_a, -slope)
    torch.testing.assert_close(slope, (2 - 2 * x.abs()).clamp(min=0))
