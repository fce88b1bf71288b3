"""The form with weight f'^4 lowers the entropy whatever the zeros of f'; by scipy's integrals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad, tanhsinh
from scipy.optimize import brentq

from actsearch.primitives import Expr, evaluate, read_formula, value_and_slopes
from actsearch.primitives.entropy import (
    Form,
    change,
    correction,
    first_order,
    logistic,
    normal,
)

LAWS = {
    "normal": (normal(), stats.norm()),
    "logistic": (logistic(0.3, 0.8), stats.logistic(0.3, 0.8)),
}
SMOOTH = ["sin", "gelu", "silu", "mish", "lisht", "logcosh", "golu", "x^3", "x^2*tanh(x)"]
# Where D^2 is below 1e-7 of its largest for either law.
REACH = 9.0


def slopes(expr: Expr) -> Callable[[np.ndarray], np.ndarray]:
    """f' by torch's own differentiation of the evaluated function."""

    def at(x: np.ndarray) -> np.ndarray:
        point = torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(evaluate(expr, {"x": point}).sum(), point)
        return slope.numpy()

    return at


def curves(expr: Expr) -> Callable[[np.ndarray], np.ndarray]:
    def at(x: np.ndarray) -> np.ndarray:
        point = torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)
        value = evaluate(expr, {"x": point}).sum()
        (slope,) = torch.autograd.grad(value, point, create_graph=True)
        (curve,) = torch.autograd.grad(slope.sum(), point)
        return curve.numpy()

    return at


def zeros(rate: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    grid = np.linspace(-REACH, REACH, 1802)
    signs = np.sign(rate(grid))
    places = np.nonzero(signs[1:] * signs[:-1] < 0)[0]
    found = [brentq(lambda x: float(rate(np.array(x))), *grid[[i, i + 1]]) for i in places]
    return sorted({round(at, 12) for at in found})


def bracket(expr: Expr, law) -> Callable[[np.ndarray], np.ndarray]:
    """p' f' - p f''."""
    rate, curve = slopes(expr), curves(expr)

    def at(x: np.ndarray) -> np.ndarray:
        step = 1e-5
        fall = (law.pdf(x + step) - law.pdf(x - step)) / (2 * step)
        return fall * rate(x) - law.pdf(x) * curve(x)

    return at


def stretching(expr: Expr, law) -> float:
    """E ln|f'|, between the zeros of f', where the logarithm is singular."""
    rate = slopes(expr)

    def integrand(x: np.ndarray) -> np.ndarray:
        size = np.abs(rate(x))
        return np.where(size > 0, law.pdf(x) * np.log(np.maximum(size, 1e-300)), 0.0)

    ends = np.array([-REACH, *zeros(rate), REACH])
    return float(tanhsinh(integrand, ends[:-1], ends[1:], rtol=1e-12).integral.sum())


@pytest.mark.parametrize("name", SMOOTH)
def test_the_direction_is_f_p_squared_times_p_f_p_minus_p_f_p_p(name: str) -> None:
    found = correction(read_formula(name), normal())
    assert (found.form, found.power, found.windows) == (Form.INTEGRABLE, 4, ())
    x = np.linspace(-5, 5, 80)
    expected = slopes(found.base)(x) ** 2 * bracket(found.base, stats.norm())(x)
    term = evaluate(found.term, {"x": torch.from_numpy(x)}).numpy()
    np.testing.assert_allclose(-found.constant * term, expected, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", SMOOTH)
def test_the_entropy_falls_by_the_integral_of_the_square(name: str, law: str) -> None:
    density, frozen = LAWS[law]
    found = correction(read_formula(name), density)
    part = bracket(found.base, frozen)
    square = quad(lambda x: float(part(np.array(x))) ** 2, -REACH, REACH, limit=200)[0]
    predicted = square / found.constant
    assert predicted > 0
    assert first_order(found).value == pytest.approx(predicted, rel=1e-5)
    # Finite differences of E ln|f' + eps term'|, each zero an end of an integral.
    step = 1e-4 / max(predicted, 1)
    below, at, above = (stretching(found.at(eps), frozen) for eps in (-step, 0.0, step))
    assert (above - below) / (2 * step) == pytest.approx(predicted, rel=1e-3)
    assert below < at < above


@pytest.mark.parametrize("name", ["sin", "gelu", "mish", "lisht", "golu", "x^3"])
def test_the_zeros_of_the_slope_stay_where_they_are(name: str) -> None:
    found = correction(read_formula(name), normal())
    inside = torch.tensor([z for z in found.zeros if abs(z) < 6], dtype=torch.float64)
    assert len(inside)
    _, (rate,) = value_and_slopes(found.at(-0.5), {"x": inside})
    torch.testing.assert_close(rate, torch.zeros_like(rate), atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        "sin",
        "gelu",
        "silu",
        "mish",
        "lisht",
        "logcosh",
        "golu",
        "crrelu",
        "relu2",
        "tanhexp",
        "serf",
    ],
)
def test_a_step_of_a_hundredth_lowers_the_entropy(name: str) -> None:
    found = correction(read_formula(name), normal(), Form.INTEGRABLE)
    lower, higher = (change(found, eps).entropy for eps in (-0.01, 0.01))
    assert lower.value + lower.error < 0 < higher.value - higher.error


def test_the_regular_form_raises_it_for_sin() -> None:
    # What makes the other the default: dH diverges at the zeros of cos.
    regular = correction(read_formula("sin"), normal(), Form.REGULAR)
    assert change(regular, -0.01).entropy.value > 0
    assert change(correction(read_formula("sin"), normal()), -0.01).entropy.value < 0


def test_a_zero_that_f_p_only_touches_has_a_first_order() -> None:
    # f' = 1 + sin(2x); with the weight f'^2 there is none.
    found = correction(read_formula("x + square(sin(x))"), normal())
    part = bracket(found.base, stats.norm())
    square = quad(lambda x: float(part(np.array(x))) ** 2, -REACH, REACH, limit=200)[0]
    assert first_order(found).value == pytest.approx(square / found.constant, rel=1e-6)


def test_a_kink_whose_slopes_are_0_needs_no_window() -> None:
    assert correction(read_formula("relu2"), normal()).windows == ()
    assert correction(read_formula("relu2"), normal(), Form.REGULAR).windows != ()


@pytest.mark.parametrize("name", ["silu", "abs(x)", "sin", "x^3"])
def test_the_scale_free_entropy_falls_where_the_slope_has_zeros(name: str) -> None:
    found = correction(read_formula(name), normal(), Form.SCALE_FREE, unit=True)
    assert change(found, -1e-3).scale_free.value < 0 < change(found, 1e-3).scale_free.value
