"""What the screens reject and why, and what they must let pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.evaluators.screens import (
    DuplicateScreen,
    Reason,
    StaticLimits,
    fingerprint,
    static_screen,
)
from actsearch.primitives import inputs, known_activations, read_formula
from actsearch.primitives.spaces import UnaryBinary


def verdict(formula: str, **limits: float):
    return static_screen(read_formula(formula), StaticLimits(**limits))


@pytest.mark.parametrize(
    ("formula", "reason", "figure"),
    [
        ("3", Reason.CONSTANT, "reads no input"),
        ("beta[1]", Reason.CONSTANT, "reads no input"),
        ("x - x", Reason.CONSTANT, "standard deviation 0.0e+00"),
        ("square(sin(x)) + square(cos(x))", Reason.CONSTANT, "standard deviation"),
        ("2*x + 3", Reason.AFFINE, "straight line"),
        ("relu(x) - relu(-x)", Reason.AFFINE, "straight line"),
        ("beta[2]*x", Reason.AFFINE, "straight line"),
        ("1/x", Reason.NOT_FINITE, "at x = 0 in float32"),
        ("log(x)", Reason.NOT_FINITE, "at x = "),
        ("exp(x)", Reason.NOT_FINITE, "at x = 100 in float32"),
        ("signed_sqrt(x)", Reason.NOT_FINITE, "at x = 0 in float32"),
        ("x*x*x*x", Reason.EXTREME, "value or slope 9.9"),
        ("2000*tanh(x)", Reason.EXTREME, "value or slope 2e+03"),
        ("3 + 0.1*tanh(x)", Reason.MEAN_FIELD, "chi_1 = 0.0005"),
        ("sin(20*x)", Reason.MEAN_FIELD, "chi_1 = 400"),
    ],
)
def test_a_rejection_names_its_reason_and_the_figure_that_decided(
    formula: str, reason: Reason, figure: str
) -> None:
    found = verdict(formula)
    assert found.reason is reason
    assert figure in found.figure


def test_limits_are_settings() -> None:
    assert verdict("2000*tanh(x)", largest=1e4).accepted
    assert verdict("exp(x)", widest=10, largest=1e5).accepted
    assert verdict("sigmoid(x)", lowest_chi=0.2).reason is Reason.MEAN_FIELD


def test_known_activations_pass() -> None:
    for known in known_activations().values():
        if inputs(known.expr) == ("x",) and known.name != "identity":
            assert static_screen(known.expr, StaticLimits()).accepted, known.name


def test_a_line_that_training_can_bend_passes() -> None:
    assert verdict("max(x, beta[1, channel]*x)").accepted


SAME = [
    ("mul(x, sigmoid(x))", "mul(sigmoid(x), x)"),
    ("x*sigmoid(x)", "3*x*sigmoid(x)"),
    ("tanh(x)", "-tanh(x)"),
    ("x*sigmoid(x)", "x*(1 + tanh(x/2))/2"),
    ("relu(x)", "(x + abs(x))/2"),
    ("gelu", "x*erfc(-x/sqrt(2))/2"),
    ("x*sigmoid(a[1]*x)", "x*sigmoid(b[1]*x)"),
    ("(a[1]*x)*(x + b[1])", "(x + a[1])*(b[1]*x)"),
    ("max(a[1]*tanh(x), b[1]*sin(x))", "max(a[1]*sin(x), b[1]*tanh(x))"),
]
DIFFERENT = [
    ("x*sigmoid(x)", "x*sigmoid(beta[1]*x)"),
    ("min(erf(x), beta[1])", "erf(x)"),
    ("max(beta[1]*x, relu(x))", "relu(x)"),
    ("sigmoid(x)", "tanh(x/2)"),
    ("relu(x)", "relu(-x)"),
    ("x*sigmoid(x)", "x*sigmoid(1.001*x)"),
    ("relu(x)", "softplus(20*x)/20"),
    ("x*sigmoid(a[1]*x)", "x*sigmoid(a[1.5]*x)"),
]


def found_again(one: str, other: str) -> bool:
    screen = DuplicateScreen()
    screen.remember(fingerprint(read_formula(one)), one)
    return screen.find(fingerprint(read_formula(other))) == one


@pytest.mark.parametrize(("one", "other"), SAME)
def test_other_spellings_and_other_output_scales_are_duplicates(one: str, other: str) -> None:
    assert found_again(one, other)
    assert found_again(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_functions_are_not_duplicates(one: str, other: str) -> None:
    assert not found_again(one, other)
    assert not found_again(other, one)


def test_the_screen_grows_and_still_finds_the_first() -> None:
    screen = DuplicateScreen()
    marks = {f"x*sigmoid({1 + i / 100}*x)": None for i in range(300)}
    for formula in marks:
        mark = fingerprint(read_formula(formula))
        assert screen.find(mark) is None
        screen.remember(mark, formula)
    for formula in marks:
        assert screen.find(fingerprint(read_formula(formula))) == formula


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.5, -1.0, 3.0, -70.0]))
def test_scale_never_matters_and_all_fingerprints_are_finite(seed: int, scale: float) -> None:
    expr = UnaryBinary(2).sample(np.random.default_rng(seed)).expr
    if not static_screen(expr, StaticLimits()).accepted:
        return
    mark = fingerprint(expr)
    assert np.isfinite(mark).all()
    screen = DuplicateScreen()
    screen.remember(mark, "first")
    assert screen.find(fingerprint(read_formula(f"{scale}*({expr})"))) == "first"
