"""Spectra against closed forms and a Fourier transform."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import iv, jv

from actsearch.primitives import evaluate, parse
from actsearch.primitives.analysis.figure import Figure
from actsearch.primitives.analysis.spectrum import HARMONICS, Spectrum, spectrum_of

EVEN = ["abs(x)", "square(x)", "cos(3*x)", "exp(-square(x))", "relu(abs(x) - 0.3)", "x*tanh(x)"]
ODD = ["x", "tanh(2*x)", "sign(x)", "min(max(x, -0.4), 0.4)", "x*abs(x)", "erf(x)"]
OTHER = ["relu(x)", "x*normal_cdf(x)", "elu(x)", "step(x - 0.2)", "exp(x)", "max(x, 0.1*x) + 1"]


def values(spectrum: Spectrum) -> np.ndarray:
    assert spectrum.dc is not None
    return np.array([spectrum.dc.value, *(h.value for h in spectrum.harmonics)])


def assert_right(found: Figure | None, truth: float) -> None:
    assert found is not None
    assert abs(found.value - truth) <= 2 * found.error + 1e-15
    assert found.error < 1e-12


@given(st.floats(0.01, 100))
def test_relu_has_dc_the_tone_and_even_harmonics(amplitude: float) -> None:
    spectrum = spectrum_of(parse("relu(x)"), amplitude)
    expected = np.zeros(HARMONICS + 1)
    expected[:2] = amplitude / math.pi, amplitude / 2
    n = np.arange(1, HARMONICS // 2 + 1)
    expected[2::2] = 2 * amplitude / math.pi * (-1.0) ** (n + 1) / (4 * n**2 - 1)
    assert values(spectrum) == pytest.approx(expected, rel=1e-12, abs=1e-13 * amplitude)
    assert spectrum.leakage is not None
    assert spectrum.leakage.value == pytest.approx(0.5)
    moving = 0.25 - 1 / math.pi**2
    assert spectrum.leakage_without_dc is not None
    assert spectrum.leakage_without_dc.value == pytest.approx(1 - 0.125 / moving)


@pytest.mark.parametrize("amplitude", [0.5, 1.0, 3.0])
def test_bessel_functions(amplitude: float) -> None:
    orders = np.arange(HARMONICS + 1)
    growing = 2 * iv(orders, amplitude)
    growing[0] /= 2
    assert values(spectrum_of(parse("exp(x)"), amplitude)) == pytest.approx(growing, abs=1e-13)
    # Jacobi and Anger: sin(a cos t) = 2 sum of (-1)^k J_(2k+1)(a) cos((2k+1) t).
    waves = np.zeros(HARMONICS + 1)
    odd = orders[1::2]
    waves[1::2] = 2 * (-1.0) ** ((odd - 1) / 2) * jv(odd, 2 * amplitude)
    assert values(spectrum_of(parse("sin(2*x)"), amplitude)) == pytest.approx(waves, abs=1e-13)


@pytest.mark.parametrize("degree", range(1, HARMONICS + 1))
def test_a_chebyshev_polynomial_is_one_harmonic(degree: int) -> None:
    coefficients = np.polynomial.chebyshev.cheb2poly([0] * degree + [1])
    terms = [f"({c!r})*x^{k}" if k else f"({c!r})" for k, c in enumerate(map(float, coefficients))]
    spectrum = spectrum_of(parse(" + ".join(terms)))
    expected = np.eye(HARMONICS + 1)[degree]
    assert values(spectrum) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("formula", EVEN + ODD + OTHER)
def test_a_fourier_transform_agrees(formula: str) -> None:
    expr, count, amplitude = parse(formula), 1 << 17, 1.7
    angles = 2 * math.pi * (np.arange(count) + 0.5) / count
    value = evaluate(expr, {"x": torch.from_numpy(amplitude * np.cos(angles))}).numpy()
    # Samples in the middle of intervals: undo the shift by half of one.
    orders = np.arange(HARMONICS + 1)
    waves = np.fft.rfft(value)[: HARMONICS + 1] * np.exp(-1j * math.pi * orders / count) / count
    waves[1:] *= 2
    spectrum = spectrum_of(expr, amplitude)
    # A jump moves by up to an interval.
    assert values(spectrum) == pytest.approx(waves.real, abs=1e-4 if "step" in formula else 1e-8)
    assert spectrum.power is not None
    assert spectrum.power.value == pytest.approx(float(np.mean(value**2)), rel=1e-4)


@given(st.sampled_from(EVEN), st.floats(0.1, 5))
def test_an_even_function_has_even_harmonics_alone(formula: str, amplitude: float) -> None:
    spectrum = spectrum_of(parse(formula), amplitude)
    assert abs(values(spectrum)[1::2]).max() < 1e-13 * max(1, amplitude**2)
    assert spectrum.leakage is None or spectrum.leakage.value == pytest.approx(1)


@given(st.sampled_from(ODD), st.floats(0.1, 5))
def test_an_odd_function_has_odd_harmonics_alone(formula: str, amplitude: float) -> None:
    spectrum = spectrum_of(parse(formula), amplitude)
    assert abs(values(spectrum)[::2]).max() < 1e-13 * max(1, amplitude**2)
    assert spectrum.leakage is not None and spectrum.leakage_without_dc is not None
    assert spectrum.leakage.value == pytest.approx(spectrum.leakage_without_dc.value, abs=1e-12)


@given(st.sampled_from(EVEN + ODD + OTHER), st.floats(-50, 50).filter(lambda s: abs(s) > 0.01))
def test_it_scales_with_the_function(formula: str, scale: float) -> None:
    plain, scaled = spectrum_of(parse(formula)), spectrum_of(parse(f"({scale!r})*({formula})"))
    assert values(scaled) == pytest.approx(scale * values(plain), rel=1e-9, abs=1e-11)
    for before, after in (
        (plain.leakage, scaled.leakage),
        (plain.leakage_without_dc, scaled.leakage_without_dc),
    ):
        assert before is not None and after is not None
        assert after.value == pytest.approx(before.value, abs=1e-9)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=8), st.floats(0.2, 2))
def test_the_power_is_that_of_dc_and_harmonics(factors: list[float], amplitude: float) -> None:
    expr = parse(" + ".join(f"({c!r})*x^{k}" for k, c in enumerate(factors, 1)))
    spectrum = spectrum_of(expr, amplitude)
    dc, *harmonics = values(spectrum)
    assert spectrum.power is not None
    assert spectrum.power.value == pytest.approx(dc**2 + np.square(harmonics).sum() / 2, abs=1e-9)


@pytest.mark.parametrize("jump", [0.0, 0.3, -0.77])
def test_a_jump_is_met_exactly(jump: float) -> None:
    spectrum = spectrum_of(parse(f"step(x - ({jump}))"))
    half = math.acos(jump)
    assert_right(spectrum.dc, half / math.pi)
    for order, harmonic in enumerate(spectrum.harmonics, 1):
        assert_right(harmonic, 2 * math.sin(order * half) / (order * math.pi))


def test_what_is_zero_or_constant_leaks_nothing_sensible() -> None:
    assert spectrum_of(parse("x - x")).leakage is None
    constant = spectrum_of(parse("0*x + 3"))
    assert constant.leakage_without_dc is None
    assert constant.leakage is not None and constant.leakage.value == pytest.approx(1)


@pytest.mark.parametrize("formula", ["1/x", "log(x)", "exp(1/square(x))", "1/(x - 0.3)"])
def test_without_a_finite_power_there_is_no_spectrum(formula: str) -> None:
    assert spectrum_of(parse(formula)) == Spectrum(None, (), None, None, None)


@pytest.mark.parametrize("amplitude", [0.0, -1.0, 129.0, math.nan])
def test_an_amplitude_out_of_range_is_refused(amplitude: float) -> None:
    with pytest.raises(ValueError, match="not above 0 and at most 128"):
        spectrum_of(parse("relu(x)"), amplitude)


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="reads u and v"):
        spectrum_of(parse("u*sigmoid(v)", input_names=("u", "v")))
