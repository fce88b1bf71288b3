"""Known coincidences, found by the detector of duplicates that searches use."""

from __future__ import annotations

import pytest
import torch

from actsearch.evaluators.screens import DuplicateScreen, fingerprint
from actsearch.primitives import (
    derivative,
    evaluate,
    inputs,
    known_functions,
    known_layers,
    read_formula,
)
from actsearch.primitives.analysis import gaussian_moments
from actsearch.primitives.analysis.figure import at_initial


def is_duplicate(one, other, tolerance=1e-6):
    screen = DuplicateScreen(tolerance)
    screen.remember(fingerprint(one), "one")
    return screen.find(fingerprint(other)) == "one"


def largest_difference(one, other):
    x = torch.linspace(-10, 10, 2_001, dtype=torch.float64)
    value, expected = (evaluate(at_initial(e), dict.fromkeys(inputs(e), x)) for e in (one, other))
    return float((value - expected).abs().max() / expected.abs().max())


# Each side as its own paper has it. Trainable parameters are at their start.
EQUAL = [
    ("aptx(alpha=1, beta=0.5, gamma=0.5)", "silu"),
    ("aptx", "0.5*x*(1 + tanh(x))"),
    ("molu", "swish(b=2)"),
    ("aptx", "swish(b=2)"),
    ("swish", "silu"),
    ("aglu(lam=1, kap=1)", "silu"),
    ("apa(lam=1, kap=3)", "sigmoid(3*x)"),
    ("golu", "x*exp(-exp(-x))"),
    ("expexpish", "x/exp(exp(-x))"),
    ("tanhexp", "telu"),
    ("telu", "(exp(exp(x)) - exp(-exp(x)))/(exp(exp(x)) + exp(-exp(x)))*x"),
    ("telu", "tanhsoft_2(b=1, g=1)"),
    ("calu", "atlu"),
    ("atlu", "x/pi*(atan(x) + pi/2)"),
    ("xgelu", "gelu"),
    ("xsilu", "silu"),
    ("xatlu", "atlu"),
    ("hardtanh", "relu(min(x, 0) + 1) - 1 + (1 - relu(1 - max(x, 0)))"),
    ("sparse_plus", "smelu(b=1)"),
    ("logcosh", "softplus(2*x) - x - 0.6931471805599453"),
    ("celu", "elu"),
    ("elu_plus_one", "elu(x) + 1"),
    ("lisht", "softmodulus_t(a=1)"),
    ("tbsrelu", "x*tanh((1 - exp(-x))/(1 + exp(-x)))"),
    ("abs", "relu(x) + relu(-x)"),
    ("prelu", "(1 + a[0.25])/2*x + (1 - a)/2*abs(x)"),
    ("prelu(a=0.1)", "(1 + a[0.1])/2*x + (1 - a)/2*abs(x)"),
    ("snake", "x + (1 - cos(2*x))/2"),
    ("snake(a=5)", "x + (1 - cos(10*x))/10"),
    ("hardswish", "x*hardsigmoid(x)"),
    ("smish", "x*(square(1 + sigmoid(x)) - 1)/(square(1 + sigmoid(x)) + 1)"),
    ("fatrelu", "trec"),
    ("relu_n", "brelu"),
    ("mish", "x*(exp(2*x) + 2*exp(x))/(exp(2*x) + 2*exp(x) + 2)"),
    ("power_lu", "signrelu"),
    ("aqulu(a=0.5, b=1)", "hard_mish"),
    ("aqulu(a=0.16666666666666666, b=0.5)", "hardswish"),
    ("reluplus(e=4)", "squareplus"),
    ("singular_kernel", "(x^3 - 3*x)/sqrt(12) + x/sqrt(2)"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_identity_is_found_by_the_detector_of_duplicates(one, other):
    first, second = read_formula(one), read_formula(other)
    assert is_duplicate(at_initial(first), at_initial(second))
    # The detector divides a scale out, which an identity does not have.
    assert largest_difference(first, second) < 1e-12


def test_identity_of_trainable_functions_is_found_with_their_parameters():
    other = read_formula("(1 + a[0.25, channel])/2*x + (1 - a)/2*abs(x)")
    assert is_duplicate(read_formula("prelu"), other)
    assert not is_duplicate(read_formula("prelu"), at_initial(other))


SLOPES = [
    ("softplus", "sigmoid"),
    ("logcosh", "tanh"),
    ("silu", "dsilu"),
    ("sparse_plus", "sparse_sigmoid"),
]


@pytest.mark.parametrize(("function", "slope"), SLOPES)
def test_slope_is_another_function_of_the_zoo(function, slope):
    found = derivative(read_formula(function))
    assert is_duplicate(found, read_formula(slope))
    assert largest_difference(found, read_formula(slope)) < 1e-12


@pytest.mark.parametrize(
    ("near", "limit", "within"),
    [
        ("aglu(lam=0, kap=1)", "golu", 1e-4),  # lam is 1e-4 at least
        ("staircase(bits=30, top=6)", "relu6", 1e-8),
        ("swish(b=1000)", "relu", 1e-3),
        ("aglu(lam=1, kap=1000)", "relu", 1e-3),
    ],
)
def test_limit_of_a_family_is_another_function(near, limit, within):
    difference = largest_difference(read_formula(near), read_formula(limit))
    assert difference < within


def test_same_forward_with_another_slope_is_no_duplicate():
    names = ("relu", "helu", "sugar", "excitation_pullback")
    exprs = [read_formula(name) for name in names]
    x = torch.linspace(-10, 10, 2_001, dtype=torch.float64)
    for expr in exprs[1:]:
        assert evaluate(expr, {"x": x}).equal(torch.relu(x))
    for k, expr in enumerate(exprs):
        assert not any(is_duplicate(expr, other) for other in exprs[:k])


def test_jumprelu_is_fatrelu_forwards():
    x = torch.linspace(-3, 3, 1_000, dtype=torch.float64)
    jump, fat = (
        evaluate(read_formula(text), {"x": x})
        for text in ("jumprelu(theta=-0.6931471805599453)", "fatrelu(t=0.5)")
    )
    assert jump.equal(fat)


SAME = {
    # Equal but for a factor, which the next layer takes up.
    ("silu", "e_swish"),
    # By definition.
    ("silu", "swish"),
    ("eis_2", "eis"),
    ("sigmoid", "mittag_leffler_sigmoid"),
    ("silu", "mittag_leffler_silu"),
    ("tanh", "mittag_leffler_tanh"),
    ("softsign", "mittag_leffler_softsign"),
    ("elu", "mittag_leffler_elu"),
    # At a = 1.
    ("elu", "celu"),
    ("signrelu", "power_lu"),
    # With u and v exchanged.
    ("gtu", "lstm_gated_tanh"),
    # Within |x| <= 10, where the detector looks.
    ("gelu", "gelu_10"),
}
SAME_AT_THE_START = {
    ("elu", "pelu"),
    ("silu", "swish_beta"),
    ("silu", "xsilu"),
    ("silu", "acon_c"),
    ("silu", "kan_b_spline"),
    ("silu", "fastkan"),
    ("gelu", "xgelu"),
    ("gelu", "pgelu"),
    ("atlu", "xatlu"),
    ("snake", "snake_beta"),
    ("relu", "srelu"),
    ("relu", "apl"),
    ("relu", "pwlu"),
    ("relu", "deep_spline"),
    ("relu", "jumprelu"),
    ("relu", "tlu"),
    ("relu", "tmaf_diagonal"),
    ("relu6", "pact"),
    ("prelu", "melu"),
    ("prelu", "rprelu"),
    ("identity", "uaf"),
    ("identity", "soft_exponential"),
    ("pau_b", "pau_c"),
    ("pau_b", "pau_n"),
    ("tanh", "adaptive_tanh"),
    ("tanh", "chebyshev"),
    ("tanh", "legendre_kan"),
    ("tanh", "hermite_kan"),
    ("tanh", "rowdy"),
    ("bipolar_sigmoid", "dyt"),
    ("sin", "adaptive_sin"),
    ("sin", "fourier_series"),
    ("bireal_sign", "rsign"),
    ("geglu", "xgeglu"),
    ("swiglu", "xswiglu"),
    ("glu", "xswiglu_first_order"),
}


def coincident(of):
    screen, found = DuplicateScreen(), set()
    layers = known_layers()
    for name, row in known_functions().items():
        if name in layers:
            continue
        entries = fingerprint(of(row.expr))
        first = screen.find(entries)
        if first is None:
            screen.remember(entries, name)
        else:
            found.add((first, name))
    return found


def test_no_row_is_another_but_those_that_are_known():
    assert coincident(lambda expr: expr) == SAME


def test_trainable_rows_that_start_as_another_are_known():
    assert coincident(at_initial) == SAME | SAME_AT_THE_START


# E f, E f^2, gain and E f'^2 under N(0, 1), from integrals of more than twenty digits.
MOMENTS = {
    "relu": (0.39894228, 0.5, 1.41421356, 0.5),
    "gelu": (0.282094792, 0.425221483, 1.53353044, 0.4558509),
    "silu": (0.206620964, 0.35577552, 1.67653247, 0.3794824),
    "mish": (0.240403888, 0.452342192, 1.48684758, 0.4790838),
    "golu": (0.258856123, 0.319634353, 1.76877779, 0.3475001),
    "aptx": (0.302852755, 0.439472467, 1.50846127, 0.4664251),
    "telu": (0.262131725, 0.529093704, 1.37478158, 0.5611714),
    "hardswish": (0.166216701, 0.331567375, 1.73665721, 0.3585315),
    "atlu": (0.208709281, 0.346670803, 1.69840542, 0.3624444),
    "elu": (0.160520572, 0.644945417, 1.2451983, 0.668102),
    "selu": (0.0, 1.0, 1.0, 1.071575),
    "softplus": (0.806059183, 0.921245909, 1.04186684, 0.293379),
    "sigmoid": (0.5, 0.293379036, 1.84622855, 0.04483624),
    "tanh": (0.0, 0.39429449, 1.59253742, 0.4644029),
    "relu_squared": (0.5, 1.5, 0.816496581, 2.0),
    "snake": (0.432332358, 1.30737429, 0.874580983, 1.499832),
    "gcu": (0.0, 0.296997075, 1.83494864, 1.0),
    "elephant(a=1, d=4)": (0.676762707, 0.574630268, 1.31918514, 0.349608),
}


@pytest.mark.parametrize("text", MOMENTS)
def test_gaussian_moments_are_those_of_the_reference(text):
    moments = gaussian_moments(read_formula(text))
    found = (moments.mean, moments.second, moments.gain, moments.slope_second)
    assert found == pytest.approx(MOMENTS[text], rel=1e-6, abs=1e-8)
