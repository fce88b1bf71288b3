"""Periodic, polynomial and rational functions against the reference."""

from __future__ import annotations

import mpmath as mp
import pytest
from agreement import assert_agrees
from reference import number

from actsearch.primitives import known_activations, read_formula
from actsearch.primitives.analysis import gaussian_moments


def sinc(x):
    return mp.sin(x) / x if x else mp.mpf(1)


def hermite(degree, x):
    """Normalised, by the recurrence of He_n."""
    before, here = mp.mpf(0), mp.mpf(1)
    for n in range(degree):
        before, here = here, x * here - n * before
    return here / mp.sqrt(mp.factorial(degree))


def singular_kernel(d):
    """For d >= 2, as the paper has it: h3, h2 and h1 = x."""
    root = mp.power(2, -mp.mpf(d) / 4)
    return lambda x: (
        root * (x**3 - 3 * x) / mp.sqrt(6)
        + mp.sqrt(1 - mp.power(2, 1 - mp.mpf(d) / 2)) * (x**2 - 1) / mp.sqrt(2)
        + root * x
    )


RELU_COEFFICIENTS = (
    # Of relu in the normalised Hermite polynomials, by integration.
    lambda: 1 / mp.sqrt(2 * mp.pi),
    lambda: mp.mpf(1) / 2,
    lambda: 1 / (2 * mp.sqrt(mp.pi)),
    lambda: mp.mpf(0),
    lambda: -1 / mp.sqrt(48 * mp.pi),
)

TRUTHS = {
    "sin": mp.sin,
    "siren": lambda x: mp.sin(30 * x),
    "siren(w0=5)": lambda x: mp.sin(5 * x),
    "cos": mp.cos,
    "x_plus_sin": lambda x: x + mp.sin(x),
    "x_plus_cos": lambda x: x + mp.cos(x),
    "gcu": lambda x: x * mp.cos(x),
    "asu": lambda x: x * mp.sin(x),
    "ssu": lambda x: mp.pi * sinc(x - mp.pi),
    "dsu": lambda x: mp.pi / 2 * (sinc(x - mp.pi) - sinc(x + mp.pi)),
    "squ": lambda x: x**2 + x,
    "ncu": lambda x: x - x**3,
    "cone": lambda x: 1 - abs(x - 1),
    "cone(b=2)": lambda x: 1 - abs(x - 1) ** 2,
    "parabolic_cone": lambda x: x * (2 - x),
    "finer": lambda x: mp.sin(30 * (abs(x) + 1) * x),
    "wire_real": lambda x: mp.cos(10 * x) * mp.exp(-((10 * x) ** 2)),
    "wire_real(w0=20, s0=2)": lambda x: mp.cos(20 * x) * mp.exp(-((2 * x) ** 2)),
    "gauss_inr": lambda x: mp.exp(-((10 * x) ** 2)),
    "hosc": lambda x: mp.tanh(8 * mp.sin(x)),
    "sinc_inr": lambda x: sinc(30 * x),
    "square": lambda x: x**2,
    "cubic": lambda x: x**3,
    "cubic(a=0.5)": lambda x: x**3 / 2,
    "polynomial": lambda x: x / 2 + (1 + x**2) / (2 * mp.sqrt(2 * mp.pi)),
    "hermite": lambda x: sum(c() * hermite(n, x) for n, c in enumerate(RELU_COEFFICIENTS)),
    "singular_kernel_1": lambda x: (hermite(7, x) + x) / mp.sqrt(2),
    "singular_kernel": singular_kernel(2),
    "singular_kernel(d=5)": singular_kernel(5),
    "step_plus": lambda x: (1 + x / mp.sqrt(x**2 + number("1e-6"))) / 2,
    "step_plus(e=4)": lambda x: (1 + x / mp.sqrt(x**2 + 4)) / 2,
    "m_arcsinh": lambda x: mp.asinh(x) * abs(x) / 12,
    "hyper_sinh": lambda x: mp.sinh(x) / 3 if x > 0 else x**3 / 4,
    "comb_h_sine": lambda x: mp.sinh(x) + mp.asinh(x),
    "comb_h_sine(a=0.5)": lambda x: mp.sinh(x / 2) + mp.asinh(x / 2),
}
# Beyond, the true value overflows float32, or bfloat16 where that rounds up to infinity.
BEYOND = {"hyper_sinh": 85.0, "comb_h_sine": 85.0, "comb_h_sine(a=0.5)": 170.0}
KINKS = {"cone(b=2)": []}
ABSOLUTE = {
    # Zeros of the slope, 1 + cos(x) and the like, that its terms do not have.
    "x_plus_sin": 1e-15,
    "x_plus_cos": 1e-15,
    # Numbers of size 1 that cancel near 0.
    "cone(b=2)": 1e-15,
    "hosc": 1e-14,
    # The slope at 0 is 0, where the difference of the test is 1e-120.
    "cubic": 1e-100,
    "cubic(a=0.5)": 1e-100,
    # pi as a float, which moves a zero of the slope.
    "ssu": 1e-15,
    "dsu": 1e-15,
}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_the_reference(text):
    assert_agrees(
        text,
        TRUTHS[text],
        kinks=KINKS.get(text),
        beyond=BEYOND.get(text, 1e4),
        absolute=ABSOLUTE.get(text, 0.0),
    )


def test_every_row_has_a_truth():
    section = {r.name for r in known_activations().values() if r.section == "periodic"}
    assert section <= TRUTHS.keys()


@pytest.mark.parametrize(
    ("text", "d"),
    [("singular_kernel_1(x)", 1), *((f"singular_kernel(d={d})", d) for d in (2, 3, 4, 8))],
)
def test_singular_kernel_is_normalised_and_has_the_slope_of_its_dimension(text, d):
    """E f = 0, E f^2 = 1 and -2 ln(a_1^2) / ln(E f'^2) = d, where a_1 = E x f."""
    moments = gaussian_moments(read_formula(text))
    slope = gaussian_moments(read_formula(f"x + {text}"))
    # E (f + x)^2 = 1 + 2 a_1 + 1.
    first = (slope.second - 2) / 2
    assert moments.mean == pytest.approx(0, abs=1e-9)
    assert moments.second == pytest.approx(1, rel=1e-9)
    dimension = -2 * mp.log(first**2) / mp.log(moments.slope_second)
    assert float(dimension) == pytest.approx(d, rel=1e-6)


def test_gcu_has_slopes_of_second_moment_one():
    assert gaussian_moments(read_formula("gcu")).slope_second == pytest.approx(1, rel=1e-9)
