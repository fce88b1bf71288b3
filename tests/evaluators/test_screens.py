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
    _direction,
    fingerprint,
    static_screen,
)
from actsearch.primitives import baselines, inputs, known_activations, read_formula
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


def test_activations_that_searches_are_compared_with_pass() -> None:
    others = ("sigmoid", "softplus", "prelu", "quick_gelu", "golu")
    for known in [*baselines(), *(known_activations()[name] for name in others)]:
        assert static_screen(known.expr, StaticLimits()).accepted, known.name


def test_a_line_that_training_can_bend_passes() -> None:
    assert verdict("max(x, beta[1, channel]*x)").accepted


@pytest.mark.parametrize(
    ("formula", "reason", "figure"),
    [
        ("square(u)", Reason.CONSTANT, "reads u alone of u and v"),
        ("tanh(v) + 0*u", Reason.CONSTANT, "with u"),
        ("relu(u)*(square(sin(v)) + square(cos(v)))", Reason.CONSTANT, "with v"),
        ("u*v - v*u", Reason.CONSTANT, "standard deviation"),
        ("2*u - 3*v + 1", Reason.AFFINE, "straight line"),
        ("max(u, v) + min(u, v)", Reason.AFFINE, "straight line"),
        ("beta[2]*u + v", Reason.AFFINE, "straight line"),
        ("u/v", Reason.NOT_FINITE, "at u = 0, v = 0 in float32"),
        ("log(u)*v", Reason.NOT_FINITE, "at u = "),
        ("exp(u)*v", Reason.NOT_FINITE, "at u = 100, v = "),
        ("signed_sqrt(u)*v", Reason.NOT_FINITE, "at u = 0, v = "),
        ("cube(u)*v", Reason.EXTREME, "within |u|, |v| <= 10"),
        ("3 + 0.1*u*v", Reason.MEAN_FIELD, "chi_1 = 0.0022"),
        ("sin(5*u)*v", Reason.MEAN_FIELD, "chi_1 = 26"),
    ],
)
def test_a_gate_is_rejected_for_a_reason_and_its_figure(
    formula: str, reason: Reason, figure: str
) -> None:
    found = verdict(formula)
    assert found.reason is reason
    assert figure in found.figure


def test_known_gates_pass() -> None:
    known = [k for k in baselines(("u", "v")) if inputs(k.expr) == ("u", "v")]
    assert len(known) == 5
    for gate in known:
        assert static_screen(gate.expr, StaticLimits()).accepted, gate.name


def test_a_gate_that_training_can_open_passes() -> None:
    assert verdict("max(u + v, beta[1]*(u + v))").accepted
    assert verdict("(1 - beta[1])*u*v + tanh(u)").accepted


SAME_GATES = [
    ("u*sigmoid(u)*v", "v*u*sigmoid(u)"),
    ("u*sigmoid(u)*v", "-2*v*sigmoid(v)*u"),
    ("relu(u)*v", "u*(v + abs(v))/2"),
    ("step(u)*v", "3*u*step(v)"),
    ("max(u, v)", "(u + v + abs(u - v))/2"),
    ("u*sigmoid(a[1]*u) + b[1]*v*v", "v*sigmoid(b[1]*v) + a[1]*u*u"),
]
DIFFERENT_GATES = [
    ("sigmoid(u)*v", "tanh(u)*v"),
    ("u*sigmoid(u)*v", "u*sigmoid(u)*relu(v)"),
    ("relu(u)*v", "relu(-u)*v"),
    ("u*sigmoid(u)*v", "u*sigmoid(1.001*u)*v"),
    ("u*sigmoid(u)*v", "u*sigmoid(beta[1]*u)*v"),
    ("max(u, v)", "min(u, v)"),
]


@pytest.mark.parametrize(("one", "other"), SAME_GATES)
def test_gates_are_the_same_in_other_spellings_and_with_u_and_v_exchanged(
    one: str, other: str
) -> None:
    assert found_again(one, other)
    assert found_again(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT_GATES)
def test_different_gates_are_not_duplicates(one: str, other: str) -> None:
    assert not found_again(one, other)
    assert not found_again(other, one)


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


# Steps of size 1 along the direction of the projection change it most.
STEPS = [0.0, 0.5, 0.999999, 1.000001, 1.5, 2.0, 2.5, 40.0]
TOLERANCES = [1e-6, 1e-3, 1e-12, 0.0]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(STEPS), st.integers(0, 3)), max_size=40),
    st.sampled_from(TOLERANCES),
    st.sampled_from([1.0, 1e-3, 700.0]),
)
def test_the_index_finds_what_a_comparison_with_each_finds(
    picks: list[tuple[int, float, int]], tolerance: float, size: float
) -> None:
    length = 60
    rng = np.random.default_rng(3)
    bases = size * rng.uniform(-1, 1, (3, length))
    along = np.sign(_direction(length))
    steps = [along, -along, rng.uniform(-1, 1, length), np.eye(length)[7]]
    screen = DuplicateScreen(tolerance)
    remembered: list[np.ndarray] = []
    for number, (base, step, direction) in enumerate(picks):
        mark = bases[base] + step * tolerance * steps[direction]
        equal = [i for i, m in enumerate(remembered) if np.abs(m - mark).max() <= tolerance]
        assert screen.find(mark) == (str(equal[0]) if equal else None)
        screen.remember(mark, str(number))
        remembered.append(mark)


def test_fingerprints_of_another_length_are_of_another_function() -> None:
    screen = DuplicateScreen()
    screen.remember(np.zeros(8), "of one input")
    assert screen.find(np.zeros(12)) is None
    assert screen.find(np.zeros(8)) == "of one input"


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
