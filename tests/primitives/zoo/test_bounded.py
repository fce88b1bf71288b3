"""Bounded functions of the zoo against formulas written for mpmath from their papers."""

from __future__ import annotations

import mpmath as mp
import pytest
from agreement import assert_agrees

from actsearch.primitives import known_activations


def s(x):
    return 1 / (1 + mp.exp(-x))


def sp(x):
    return mp.log(1 + mp.exp(x))


def clip(x, low, high):
    return max(mp.mpf(low), min(x, mp.mpf(high)))


def mono_saturated(rho):
    return lambda x: rho(x + 1) - rho(mp.mpf(1)) if x <= 0 else rho(mp.mpf(1)) - rho(1 - x)


def erfc(x):
    # 1e-697 beyond 40, and mpmath is slow there.
    return mp.erfc(x) if abs(x) < 40 else mp.mpf(2 * (x < 0))


def sqnl(x):
    if abs(x) > 2:
        return mp.sign(x)
    return x - x**2 / 4 if x >= 0 else x + x**2 / 4


def smoothstep(g):
    def value(x):
        if abs(x) >= g / 2:
            return mp.mpf(x > 0)
        return -2 / g**3 * x**3 + 3 / (2 * g) * x + mp.mpf(1) / 2

    return value


def soft_clipping(a):
    return lambda x: mp.log((1 + mp.exp(a * x)) / (1 + mp.exp(a * (x - 1)))) / a


TRUTHS = {
    "identity": lambda x: x,
    "sign": mp.sign,
    "heaviside": lambda x: mp.mpf(x > 0),
    "sigmoid": s,
    "tanh": lambda x: 2 * s(2 * x) - 1,
    "logsigmoid": lambda x: -sp(-x),
    "hardtanh": lambda x: clip(x, -1, 1),
    "hardsigmoid": lambda x: clip(x + 3, 0, 6) / 6,
    "hard_sigmoid_keras2": lambda x: clip(x / 5 + mp.mpf(1) / 2, 0, 1),
    "sparse_sigmoid": lambda x: clip((x + 1) / 2, 0, 1),
    "softsign": lambda x: x / (1 + abs(x)),
    "arctan": mp.atan,
    "lecun_tanh": lambda x: mp.mpf(1.7159) * mp.tanh(mp.mpf(2) / 3 * x),
    "penalized_tanh": lambda x: mp.tanh(x) * (1 if x > 0 else mp.mpf(1) / 4),
    "isru": lambda x: x / mp.sqrt(1 + x**2),
    "isru(a=3)": lambda x: x / mp.sqrt(1 + 3 * x**2),
    "sqnl": sqnl,
    "elliott": lambda x: (x / (1 + abs(x)) + 1) / 2,
    "bipolar_sigmoid": lambda x: (1 - mp.exp(-x)) / (1 + mp.exp(-x)),
    "loglog": lambda x: mp.exp(-mp.exp(-x)),
    "cloglog": lambda x: 1 - mp.exp(-mp.exp(x)),
    "gaussian": lambda x: mp.exp(-(x**2)),
    "laplace": lambda x: erfc(-(x - mp.mpf(0.707107)) / (mp.mpf(0.282095) * mp.sqrt(2))) / 2,
    "dsilu": lambda x: s(x) * (1 + x * (1 - s(x))),
    "mono_saturated_elu": mono_saturated(lambda x: x if x > 0 else mp.exp(x) - 1),
    "mono_saturated_softplus": mono_saturated(sp),
    "elephant": lambda x: 1 / (1 + x**4),
    "elephant(a=2, d=8)": lambda x: 1 / (1 + (x / 2) ** 8),
    "triangle": lambda x: max(mp.mpf(0), 1 - abs(x)),
    "smoothstep": smoothstep(mp.mpf(1)),
    "smoothstep(g=2)": smoothstep(mp.mpf(2)),
    "soft_clipping": soft_clipping(50),
    "logcosh": lambda x: mp.log(mp.cosh(x)),
    "symlog": lambda x: mp.sign(x) * mp.log(1 + abs(x)),
    "symexp": lambda x: mp.sign(x) * (mp.exp(abs(x)) - 1),
    "exp": mp.exp,
    "abs": abs,
    "sinc": lambda x: mp.sin(x) / x if x else mp.mpf(1),
}
# What more than one unit in the last place of x changes, and why.
ROUNDED = {
    "gaussian": (4.0, "x^2 is rounded"),
    "laplace": (8.0, "(x - mu)/sigma is rounded, and its square too"),
}
SMALLEST_OVERFLOW = {"exp": 88.0, "symexp": 88.0}
DIGITS = {"laplace": 200}
KINKS = {"smoothstep(g=2)": (-1.0, 1.0)}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_its_formula_at_many_digits(text):
    assert_agrees(
        text,
        TRUTHS[text],
        kinks=KINKS.get(text),
        ulps_of_input=ROUNDED.get(text, (1.0, ""))[0],
        beyond=SMALLEST_OVERFLOW.get(text, 1e4),
        digits=DIGITS.get(text, 500),
    )


def test_every_row_has_a_truth():
    names = {row.name for row in known_activations().values() if row.section == "bounded"}
    assert names <= TRUTHS.keys()
