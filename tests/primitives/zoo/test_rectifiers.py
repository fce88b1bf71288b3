"""Rectifiers of the zoo against formulas written for mpmath from their papers."""

from __future__ import annotations

import mpmath as mp
import pytest
from agreement import assert_agrees

from actsearch.primitives import known_activations

ZERO, HALF = mp.mpf(0), mp.mpf(1) / 2


def s(x):
    return 1 / (1 + mp.exp(-x))


def sp(x):
    return mp.log(1 + mp.exp(x))


def relu(x):
    return max(x, ZERO)


def smelu(b):
    return lambda x: ZERO if x <= -b else x if x >= b else (x + b) ** 2 / (4 * b)


def lsptlu(x):
    if x < 0:
        return mp.mpf(0.2) * x
    return x if x <= 1 else max(2 - x, ZERO)


def soft_plus_plus(k, c):
    return lambda x: mp.log(1 + mp.exp(k * x)) + x / c - mp.log(2)


TRUTHS = {
    "relu": relu,
    "relu6": lambda x: min(relu(x), mp.mpf(6)),
    "relu_n": lambda x: min(relu(x), mp.mpf(1)),
    "leaky_relu": lambda x: x if x > 0 else mp.mpf(0.01) * x,
    "leaky_relu(a=0.2)": lambda x: x if x > 0 else mp.mpf(0.2) * x,
    "threshold": lambda x: x if x > 1 else ZERO,
    "threshold(t=0.1, v=20)": lambda x: x if x > 0.1 else mp.mpf(20),
    "shifted_relu": lambda x: max(mp.mpf(-1), x),
    "relu_squared": lambda x: relu(x) ** 2,
    "star_relu": lambda x: mp.mpf(0.8944) * relu(x) ** 2 - mp.mpf(0.4472),
    "polyrelu": lambda x: sum(relu(x) ** i for i in (1, 2, 3)) / 3,
    "crrelu": lambda x: relu(x) + mp.mpf(0.01) * x * mp.exp(-(x**2) / 2),
    "fatrelu": lambda x: x if x > 0.01 else ZERO,
    "nlrelu": lambda x: mp.log(1 + relu(x)),
    "smelu": smelu(2),
    "smelu(b=0.5)": smelu(HALF),
    "sparse_plus": smelu(1),
    "squareplus": lambda x: (x + mp.sqrt(x**2 + 4)) / 2,
    "softplus": sp,
    "softplus(b=3)": lambda x: sp(3 * x) / 3,
    "sqrtsoftplus": lambda x: mp.sqrt(sp(x)),
    "soft_plus_plus": soft_plus_plus(1, 2),
    "soft_plus_plus(k=2, c=3)": soft_plus_plus(2, 3),
    "hardshrink": lambda x: x if abs(x) > HALF else ZERO,
    "softshrink": lambda x: mp.sign(x) * max(abs(x) - HALF, ZERO),
    "tanhshrink": lambda x: x - mp.tanh(x),
    "pan": lambda x: max(abs(x) - 1, ZERO),
    "lsptlu": lsptlu,
    "minsin": lambda x: min(x, mp.sin(x)),
    "sine_relu": lambda x: x if x > 0 else mp.mpf(0.0025) * (mp.sin(x) - mp.cos(x)),
    "softmodulus_q": lambda x: x**2 * (2 - abs(x)) if abs(x) <= 1 else abs(x),
    "softmodulus_t": lambda x: x * mp.tanh(x / mp.mpf(0.01)),
    "bent_identity": lambda x: (mp.sqrt(x**2 + 1) - 1) / 2 + x,
    "slu": lambda x: x if x >= 0 else 2 * mp.log((mp.exp(x) + 1) / 2),
    "prenu": lambda x: x - mp.log(x + 1) / 4 if x >= 0 else ZERO,
    "mingru_g": lambda x: x + HALF if x >= 0 else s(x),
    "max_sigmoid": lambda x: max(x, s(x)),
    "max_tanh": lambda x: max(x, mp.tanh(x)),
    "cos_minus_x": lambda x: mp.cos(x) - x,
    "atan_squared_minus_x": lambda x: mp.atan(x) ** 2 - x,
    "sinc_plus_x": lambda x: x + (mp.sin(x) / x if x else 1),
    "x_asinh_squared": lambda x: x * mp.asinh(x) ** 2,
}
KINKS = {
    "leaky_relu(a=0.2)": (0.0,),
    "threshold(t=0.1, v=20)": (0.1,),
    "smelu(b=0.5)": (-0.5, 0.5),
}
# What more than one unit in the last place of x changes, and why.
ROUNDED = {"crrelu": (4.0, "x^2 is rounded before exp")}
# A slope that is a difference of parts of size 1, and nearly 0 somewhere.
ZERO_OF_A_SLOPE = {"cos_minus_x": 1e-15}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_its_formula_at_many_digits(text):
    assert_agrees(
        text,
        TRUTHS[text],
        kinks=KINKS.get(text),
        ulps_of_input=ROUNDED.get(text, (1.0, ""))[0],
        absolute=ZERO_OF_A_SLOPE.get(text, 0.0),
    )


def test_every_row_has_a_truth():
    names = {row.name for row in known_activations().values() if row.section == "rectifiers"}
    assert names <= TRUTHS.keys()
