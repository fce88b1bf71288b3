"""Corrections against the closed forms, the inverse route, and numeric integrals by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from actsearch.errors import DerivativeError
from actsearch.evaluators.screens import DuplicateScreen, fingerprint
from actsearch.primitives import derivative, evaluate, parse, read_formula, value_and_slopes
from actsearch.primitives.entropy import (
    Correction,
    Density,
    Form,
    cauchy,
    change,
    correction,
    first_order,
    laplace,
    logistic,
    normal,
    student,
    uniform,
    worst_activation,
)
from actsearch.primitives.entropy.functional import sloped
from actsearch.primitives.entropy.inverse_route import inverse_direction

X = torch.linspace(-6, 6, 97, dtype=torch.float64)
PHI = "exp(-0.5*x^2)"


def values(formula: str, x: torch.Tensor = X) -> torch.Tensor:
    return evaluate(parse(formula), {"x": x})


def direction(found: Correction, x: torch.Tensor) -> torch.Tensor:
    """D itself, with its constant."""
    return -found.constant * evaluate(found.term, {"x": x})


def test_the_correction_of_relu_under_a_normal_input_is_crrelu() -> None:
    found = correction(parse("relu(x)"), normal()).function()
    crrelu = read_formula("crrelu")
    assert str(found) == str(crrelu)
    screen = DuplicateScreen()
    screen.remember(fingerprint(crrelu), "crrelu")
    assert screen.find(fingerprint(found)) == "crrelu"


@pytest.mark.parametrize(
    "density",
    [normal(), normal(0.4, 2.0), logistic(), logistic(-1.0, 0.5), cauchy(), student(), uniform()],
)
def test_a_scaled_distribution_function_has_no_correction(density: Density) -> None:
    found = correction(worst_activation(density, -2.0, 5.0), density)
    assert found.vanishes
    assert found.function() == found.base


def test_a_distribution_function_of_another_density_has_one() -> None:
    assert not correction(parse("sigmoid(x)"), normal()).vanishes
    assert not correction(parse("normal_cdf(x)"), logistic()).vanishes
    assert not correction(parse("normal_cdf(x)"), normal(0.0, 1.1)).vanishes


# Search-system facts, section 6.4: the terms of other laws, and of other bases, up to the sign.
@pytest.mark.parametrize(
    ("base", "density", "expected"),
    [
        ("relu(x)", normal(0.0, 2.0), "x*exp(-x^2/8)"),
        ("relu(x)", normal(0.7, 2.0), "(x - 0.7)*exp(-(x - 0.7)^2/8)"),
        ("relu(x)", logistic(), "tanh(x/2)*sech_squared(x/2)"),
        ("relu(x)", student(), "x/(1 + x^2/3)^3"),
        ("relu(x)", cauchy(), "x/(1 + x^2)^2"),
        ("max(x, 0.01*x)", normal(), f"x*{PHI}"),
        ("softplus(x)", normal(), f"(x + 1 - sigmoid(x))*{PHI}"),
        ("tanh(x)", normal(), f"(x - 2*tanh(x))*{PHI}"),
        ("sigmoid(x)", normal(), f"(x - tanh(x/2))*{PHI}"),
        ("sinh(x)", normal(), f"(x + tanh(x))*{PHI}"),
        ("-tanh(x)", normal(), f"-(x - 2*tanh(x))*{PHI}"),
    ],
)
def test_terms_are_the_closed_forms(base: str, density: Density, expected: str) -> None:
    found = correction(parse(base), density)
    torch.testing.assert_close(evaluate(found.term, {"x": X}), values(expected))


def test_the_negative_side_of_elu_has_its_closed_form_before_the_window() -> None:
    found = correction(parse("elu(x)"), normal())
    left, right = found.parts
    below = X[X < 0]
    expected = values(f"(x + 1)*{PHI}", below)
    torch.testing.assert_close(evaluate(left.term, {"x": below}), expected)
    torch.testing.assert_close(evaluate(right.term, {"x": -below}), values(f"x*{PHI}", -below))


@pytest.mark.parametrize("base", ["softplus(x)", "tanh(x)", "sigmoid(x)", "sinh(x)", "exp(x)"])
@pytest.mark.parametrize("density", [normal(), logistic(0.3, 0.8)])
def test_the_inverse_route_agrees(base: str, density: Density) -> None:
    points = [-1.7, -0.3, 0.9, 2.2]
    found = direction(correction(parse(base), density), torch.tensor(points, dtype=torch.float64))
    np.testing.assert_allclose(found, inverse_direction(parse(base), density, points), rtol=1e-12)


def test_the_inverse_route_agrees_where_f_falls_and_on_the_branch_of_elu() -> None:
    points = [-1.7, -0.3]
    at = torch.tensor(points, dtype=torch.float64)
    falling = direction(correction(parse("exp(-x)"), normal()), at)
    expected = inverse_direction(parse("exp(-x)"), normal(), points)
    np.testing.assert_allclose(falling, expected, rtol=1e-12)
    found = correction(parse("elu(x)"), normal())
    branch = -found.constant * evaluate(found.parts[0].term, {"x": at})
    expected = inverse_direction(parse("elu(x)"), normal(), points)
    np.testing.assert_allclose(branch, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="is flat at -1 and has no inverse"):
        inverse_direction(parse("relu(x)"), normal(), [-1.0])


LAWS = {
    "normal": (normal(), stats.norm()),
    "logistic": (logistic(0.2, 0.7), stats.logistic(0.2, 0.7)),
    "laplace": (laplace(), stats.laplace()),
}
BASES = [
    ("relu(x)", None),
    ("tanh(x)", None),
    ("softplus(x)", None),
    ("-softplus(x)", Form.REGULAR),
    ("elu(x)", None),
    ("x*sigmoid(x)", None),
    ("x*normal_cdf(x)", None),
]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("base", "form"), BASES)
def test_entropy_falls_for_small_steps_below_0(base: str, form: Form | None, law: str) -> None:
    density, frozen = LAWS[law]
    found = correction(parse(base), density, form)
    before, after = (_stretching(found, eps, frozen) for eps in (0.0, -0.01))
    # The midpoint rule errs by a step's length at a zero of either slope.
    smooth = law == "normal" and not found.zeros
    limit = 1e-6 if smooth else 1e-4
    assert change(found, -0.01).entropy.value == pytest.approx(after - before, abs=limit)
    assert after < before
    if law == "normal" or found.zeros:
        assert first_order(found).value > 0


def _stretching(found: Correction, eps: float, law) -> float:
    """E ln|f'| where the base is not flat, by the midpoint rule: what of the entropy changes."""
    stretches = sloped(found.base, found.density)
    low, high = max(stretches[0][0], -32.0), min(stretches[-1][1], 32.0)
    x = low + (high - low) * (np.arange(400_000) + 0.5) / 400_000
    points = torch.from_numpy(x)
    slope = evaluate(derivative(found.at(eps)), {"x": points}).abs().numpy()
    p = law.pdf(x)
    seen = (p > 1e-30) & (slope > 0)
    return float((p[seen] * np.log(slope[seen])).sum() / p.sum())


def test_the_first_order_of_relu_is_that_of_the_reference() -> None:
    found = correction(parse("relu(x)"), normal())
    assert first_order(found).value == pytest.approx(1 / (2 * math.sqrt(2)), abs=1e-12)
    for eps, entropy in ((0.01, 0.00352), (-0.01, -0.00355), (0.1, 0.0335), (-0.1, -0.0374)):
        assert change(found, eps).entropy.value == pytest.approx(entropy, abs=5e-5)
    for eps, scale_free in ((0.01, 0.0025), (-0.01, -0.0026)):
        assert change(found, eps).scale_free.value == pytest.approx(scale_free, abs=5e-5)


def test_the_kink_of_elu_is_closed_by_the_window() -> None:
    found = correction(parse("elu(x)"), normal())
    (window,) = found.windows
    assert (window.at, window.left, window.right) == (0.0, 1.0, 0.0)
    near = torch.tensor([-1e-9, 0.0, 1e-9], dtype=torch.float64)
    assert evaluate(found.term, {"x": near}).abs().max() < 1e-8
    faded = values(f"(1 - exp(-2*x^2))*(x + 1)*{PHI}", X[X < 0])
    torch.testing.assert_close(evaluate(found.term, {"x": X[X < 0]}), faded)
    faded = values(f"(1 - exp(-2*x^2))*x*{PHI}", X[X > 0])
    torch.testing.assert_close(evaluate(found.term, {"x": X[X > 0]}), faded)


@pytest.mark.parametrize(
    ("base", "density", "form", "kinks"),
    [
        ("relu(x)", laplace(), None, [0.0]),
        ("softsign(x)", normal(), None, [0.0]),
        ("tanh(x)", uniform(0.0, 2.0), None, [-2.0, 2.0]),
        ("square(relu(x))", normal(), Form.REGULAR, [0.0]),
    ],
)
def test_a_direction_that_jumps_is_faded_out(
    base: str, density: Density, form: Form | None, kinks: list[float]
) -> None:
    found = correction(parse(base), density, form)
    assert [window.at for window in found.windows] == kinks
    for kink in kinks:
        near = torch.tensor([kink - 1e-9, kink, kink + 1e-9], dtype=torch.float64)
        assert evaluate(found.term, {"x": near}).abs().max() < 1e-7


def test_the_regular_form_is_p_f_p_minus_p_f_p_p() -> None:
    found = correction(parse("x*sigmoid(x)"), normal(), Form.REGULAR)
    assert (found.form, found.power) == (Form.REGULAR, 2)
    assert found.zeros == pytest.approx([-1.2784645427610738])
    p, base = parse(f"{1 / math.sqrt(2 * math.pi)!r}*{PHI}"), parse("x*sigmoid(x)")
    rate, curve = derivative(base), derivative(derivative(base))
    at = {"x": X}
    expected = evaluate(derivative(p), at) * evaluate(rate, at) - evaluate(p, at) * evaluate(
        curve, at
    )
    torch.testing.assert_close(direction(found, X), expected)


def test_the_inverse_free_form_is_refused_where_the_slope_is_0() -> None:
    with pytest.raises(ValueError, match=r"slope, which is 0 at x = -0\.751792; use the regular"):
        correction(read_formula("gelu"), normal(), Form.INVERSE_FREE)


@pytest.mark.parametrize("base", ["x", "-2*x + 1"])
def test_the_scale_free_correction_of_the_identity_vanishes_under_a_normal_input(base: str) -> None:
    assert correction(parse(base), normal(0.3, 1.7), Form.SCALE_FREE).vanishes
    assert not correction(parse(base), logistic(), Form.SCALE_FREE).vanishes


@pytest.mark.parametrize("base", ["relu(x)", "tanh(x)", "softplus(x)", "abs(x)", "sinh(x)"])
def test_the_scale_free_entropy_falls_along_its_own_direction(base: str) -> None:
    found = correction(parse(base), normal(), Form.SCALE_FREE)
    assert change(found, -1e-3).scale_free.value < 0
    assert change(found, 1e-3).scale_free.value > 0


def test_the_published_start_of_crrelu_raises_the_entropy() -> None:
    # The sign warning: descent is eps < 0, the paper's code starts at +0.01.
    found = correction(parse("relu(x)"), normal())
    assert change(found, 0.01).entropy.value > 0 > change(found, -0.01).entropy.value


@pytest.mark.parametrize("base", ["relu(x)", "x*sigmoid(x)", "elu(x)", "exp(x)"])
def test_unit_terms_reach_1_and_are_the_same_direction(base: str) -> None:
    plain, unit = (correction(parse(base), normal(), unit=u) for u in (False, True))
    fine = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
    assert evaluate(unit.term, {"x": fine}).abs().max().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(direction(unit, X), direction(plain, X))


@pytest.mark.parametrize("name", ["relu", "gelu", "mish", "elu", "tanh", "sinh(x)", "exp(x)"])
@pytest.mark.parametrize("form", [None, Form.SCALE_FREE])
def test_terms_are_finite_far_out_in_every_dtype(name: str, form: Form | None) -> None:
    term = correction(read_formula(name), normal(), form).term
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        x = torch.tensor([-1e4, -90.0, -20.0, 0.0, 20.0, 90.0, 1e4], dtype=dtype)
        value, (slope,) = value_and_slopes(term, {"x": x})
        assert torch.isfinite(value).all()
        assert torch.isfinite(slope).all()


def test_trainable_parameters_stay_in_the_base_and_eps_takes_a_free_name() -> None:
    found = correction(parse("max(x, a[0.25, channel]*x)"), normal()).function(-0.01)
    assert str(found).startswith("add(max(x, mul(a[0.25, channel], x)), mul(mul(eps[-0.01], x)")
    again = correction(read_formula("crrelu"), normal()).function()
    assert "eps[0.01]" in str(again)
    assert "eps2[0.01]" in str(again)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("u*v", "reads u, v"),
        ("3", "reads no input"),
        ("x/std_batch(x)", "reads a whole tensor"),
        ("step(x)", "is flat wherever"),
        ("log(x)", "'log.x.' is not finite at x = "),
        ("1/x", "is not finite at x = 0"),
    ],
)
def test_bases_without_a_correction_are_refused(base: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        correction(parse(base), normal())


def test_an_operator_without_a_second_derivative_is_named() -> None:
    with pytest.raises(DerivativeError, match="bessel_i0e_slope"):
        correction(parse("bessel_i0e(x)"), normal())


def test_an_infinite_variance_is_refused_by_the_scale_free_form_alone() -> None:
    assert not correction(parse("relu(x)"), cauchy()).vanishes
    with pytest.raises(ValueError, match="no finite variance"):
        correction(parse("relu(x)"), cauchy(), Form.SCALE_FREE)


def test_no_first_order_is_given_where_there_is_none() -> None:
    # f' = 1 + sin(2x) touches 0: with the weight f'^2, H changes with the root of eps.
    found = correction(parse("x + square(sin(x))"), normal(), Form.REGULAR)
    assert math.isnan(first_order(found).value)
