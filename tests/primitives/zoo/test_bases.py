"""Trainable bases against the reference, at their start and with every coefficient another."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from agreement import assert_agrees
from reference import logistic, number, tanh
from scipy.interpolate import BSpline

from actsearch.primitives import evaluate, known_activations, read_formula
from actsearch.primitives.lowering.eager import value_and_gradients

COEFFICIENTS = [0.5, -1.0, 0.25, 2.0, -0.75, 1.5, -0.5, 1.0]


def elu(x):
    return x if x > 0 else mp.exp(x) - 1


def call(name, **values):
    return f"{name}({', '.join(f'{key}={value}' for key, value in values.items())})"


def numbered(letter, first, count):
    return {f"{letter}{first + k}": COEFFICIENTS[k] for k in range(count)}


def cox_de_boor(x, i, degree, knots):
    if degree == 0:
        return mp.mpf(1 if knots[i] <= x < knots[i + 1] else 0)
    left = (x - knots[i]) / (knots[i + degree] - knots[i])
    right = (knots[i + degree + 1] - x) / (knots[i + degree + 1] - knots[i + 1])
    return left * cox_de_boor(x, i, degree - 1, knots) + right * cox_de_boor(
        x, i + 1, degree - 1, knots
    )


KAN_KNOTS = [mp.mpf(2 * j - 5) / 5 for j in range(-3, 9)]


def b_spline(x):
    return sum(c * cox_de_boor(x, i, 3, KAN_KNOTS) for i, c in enumerate(COEFFICIENTS))


def of_tanh(polynomial):
    def value(x):
        return sum(mp.mpf(c) * polynomial(n, tanh(x)) for n, c in enumerate(COEFFICIENTS[:5]))

    return value


def chebyshev(n, t):
    before, here = t, mp.mpf(1)  # T_{-1} = t
    for _ in range(n):
        before, here = here, 2 * t * here - before
    return here


def legendre(n, t):
    before, here = mp.mpf(0), mp.mpf(1)
    for k in range(n):
        before, here = here, ((2 * k + 1) * t * here - k * before) / (k + 1)
    return here


def hermite(n, t):
    before, here = mp.mpf(0), mp.mpf(1)
    for k in range(n):
        before, here = here, t * here - k * before
    return here


def gaussians(x, weights, low, high, width):
    step = mp.mpf(high - low) / (len(weights) - 1)
    return sum(
        mp.mpf(w) * mp.exp(-(((x - (low + k * step)) / width) ** 2)) for k, w in enumerate(weights)
    )


def fourier(x, d, a, cosines, sines):
    return a + sum(
        b * mp.cos(j * d * x) + c * mp.sin(j * d * x)
        for j, (b, c) in enumerate(zip(cosines, sines, strict=True), 1)
    )


KAF_HALF = [1.252, -0.818, 0.6909, 0.2692, 0.041, 0.3042, 0.2178, 0.1341, 0.1609, 0.0789]
KAF_START = [*(-w for w in KAF_HALF), *KAF_HALF[::-1]]
KAF_WIDTH = mp.sqrt(6) * 6 / 19

TRUTHS = {
    "kan_b_spline": lambda x: x * logistic(x),
    call("kan_b_spline", wb=0.5, ws=2, **numbered("c", 0, 8)): lambda x: (
        x * logistic(x) / 2 + 2 * b_spline(x)
    ),
    "chebyshev": tanh,
    call("chebyshev", **numbered("c", 0, 5)): of_tanh(chebyshev),
    "legendre_kan": tanh,
    call("legendre_kan", **numbered("c", 0, 5)): of_tanh(legendre),
    "hermite_kan": tanh,
    call("hermite_kan", **numbered("c", 0, 5)): of_tanh(hermite),
    "wavelet_kan": lambda x: (1 - x**2) * mp.exp(-(x**2) / 2),
    "wavelet_kan(w=2, a=0.5, b=1)": lambda x: (
        2 * (1 - (2 * (x - 1)) ** 2) * mp.exp(-((2 * (x - 1)) ** 2) / 2)
    ),
    "fastkan": lambda x: x * logistic(x),
    call("fastkan", wb=0.5, **numbered("c", 0, 8)): lambda x: (
        x * logistic(x) / 2 + gaussians(x, COEFFICIENTS, -2, 2, mp.mpf(4) / 7)
    ),
    "fourier_series": mp.sin,
    call("fourier_series", d=0.5, a=1, **numbered("b", 1, 5), **numbered("c", 1, 5)): lambda x: (
        fourier(x, mp.mpf(1) / 2, 1, COEFFICIENTS[:5], COEFFICIENTS[:5])
    ),
    "kaf": lambda x: gaussians(x, map_of_numbers(KAF_START), -3, 3, KAF_WIDTH),
    "abu": lambda x: number("0.2") * (mp.tanh(x) + elu(x) + max(x, 0) + x + x * logistic(x)),
    "rowdy": mp.tanh,
    "rowdy(c=2, a1=0.5, a2=-1, a3=0.25)": lambda x: (
        mp.tanh(x) + mp.sin(2 * x) - 2 * mp.sin(4 * x) + mp.sin(6 * x) / 2
    ),
    "deep_spline": lambda x: max(x, 0),
    call("deep_spline", b0=1, b1=-0.5, **numbered("a", 0, 5)): lambda x: (
        1
        - x / 2
        + sum(a * max(x - k, 0) for k, a in zip(range(-2, 3), COEFFICIENTS[:5], strict=True))
    ),
}
KINKS = {call("deep_spline", b0=1, b1=-0.5, **numbered("a", 0, 5)): [-2.0, -1.0, 0.0, 1.0, 2.0]}


def map_of_numbers(numbers):
    return [mp.mpf(n) for n in numbers]


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_the_reference(text):
    # Terms of a sum cancel, next to what they are of; places of knots and centres are rounded.
    absolute = 1e-13 if "(" in text or text == "kaf" else 1e-15
    assert_agrees(text, TRUTHS[text], kinks=KINKS.get(text), absolute=absolute)


@pytest.mark.parametrize(
    "name", [r.name for r in known_activations().values() if r.section == "bases"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_gradients_by_trainable_parameters_are_finite(name, dtype):
    sizes = torch.logspace(-30, 4, 200, dtype=torch.float64)
    x = torch.cat([-sizes, torch.zeros(1), sizes]).to(dtype).clamp(-1e4, 1e4)
    value, slopes = value_and_gradients(read_formula(name), {"x": x})
    assert all(slope.isfinite().all() for slope in (value, *slopes))


def test_every_row_has_a_truth():
    section = {r.name for r in known_activations().values() if r.section == "bases"}
    assert section <= TRUTHS.keys()


@pytest.mark.parametrize("i", range(8))
def test_each_b_spline_is_that_of_scipy(i):
    x = np.linspace(-2.5, 2.5, 401)
    knots = np.linspace(-2.2, 2.2, 12)
    ours = read_formula(f"kan_b_spline(wb=0, c{i}=1)")
    value = evaluate(ours, {"x": torch.from_numpy(x)}).numpy()
    element = BSpline.basis_element(knots[i : i + 5], extrapolate=False)
    np.testing.assert_allclose(value, np.nan_to_num(element(x)), rtol=0, atol=1e-14)


def test_b_splines_sum_to_one_on_the_grid():
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    ones = ", ".join(f"c{i}=1" for i in range(8))
    value = evaluate(read_formula(f"kan_b_spline(wb=0, {ones})"), {"x": x})
    torch.testing.assert_close(value, torch.ones_like(value))


@pytest.mark.parametrize("n", range(5))
def test_chebyshev_is_the_cosine_of_a_multiple_angle(n):
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)
    chosen = ", ".join(f"c{k}={int(k == n)}" for k in range(5))
    value = evaluate(read_formula(f"chebyshev({chosen})"), {"x": x})
    torch.testing.assert_close(value, torch.cos(n * torch.acos(torch.tanh(x))))


def test_kaf_starts_near_tanh():
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    value = evaluate(read_formula("kaf"), {"x": x})
    assert float((value - torch.tanh(x)).abs().max()) < 0.013


def test_kaf_has_the_width_of_its_paper():
    """gamma = 1/(6 delta^2) with delta the distance of centres."""
    assert known_activations()["kaf"].parameters["s"] == pytest.approx(
        math.sqrt(1 / (6 * (6 / 19) ** 2)), rel=1e-15
    )
