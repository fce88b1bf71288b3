"""The family of elu against formulas written for mpmath from their papers."""

from __future__ import annotations

import mpmath as mp
import pytest
from agreement import assert_agrees

from actsearch.primitives import known_activations

ZERO = mp.mpf(0)


def s(x):
    return 1 / (1 + mp.exp(-x))


def below(function):
    """x, or the function below 0."""
    return lambda x: x if x > 0 else function(x)


def elu(x):
    return x if x > 0 else mp.exp(x) - 1


def erf(x):
    # 1e-697 beyond 40, and mpmath is slow there.
    return mp.erf(x) if x > -40 else mp.mpf(-1)


def selu(x):
    lam, alpha = mp.mpf(1.0507009873554805), mp.mpf(1.6732632423543772)
    return lam * (x if x > 0 else alpha * (mp.exp(x) - 1))


def sqlu(x):
    if x < -2:
        return mp.mpf(-1)
    return x if x > 0 else x + x**2 / 4


def xielu(x):
    p, b = mp.mpf(0.8), mp.mpf(1) / 2
    return (p * x**2 if x > 0 else p * (mp.exp(x) - 1 - x)) + b * x


def lsrelu(a, b):
    def value(x):
        if x <= 0:
            return x / (1 + abs(x))
        return x if x <= b else mp.log(a * x + 1) + b - mp.log(a * b + 1)

    return value


def rsigelu(x):
    if x < 0:
        return mp.exp(x) - 1
    return x + x * s(x) if x > 1 else x


TRUTHS = {
    "elu": elu,
    "elu(a=0.5)": below(lambda x: (mp.exp(x) - 1) / 2),
    "celu": elu,
    "celu(a=2)": below(lambda x: 2 * (mp.exp(x / 2) - 1)),
    "selu": selu,
    "selu(lam=2, alpha=3)": lambda x: 2 * x if x > 0 else 6 * (mp.exp(x) - 1),
    "pelu": elu,
    "pelu(a=2, b=4)": lambda x: x / 2 if x > 0 else 2 * (mp.exp(x / 4) - 1),
    "mpelu": below(lambda x: (mp.exp(x) - 1) / 4),
    "elish": lambda x: x * s(x) if x >= 0 else (mp.exp(x) - 1) * s(x),
    "hard_elish": lambda x: elu(x) * max(ZERO, min(mp.mpf(1), (x + 1) / 2)),
    "isrlu": below(lambda x: x / mp.sqrt(1 + x**2)),
    "isrlu(a=3)": below(lambda x: x / mp.sqrt(1 + 3 * x**2)),
    "sqlu": sqlu,
    "xielu": xielu,
    "lalu": lambda x: x * (1 - mp.exp(-x) / 2) if x >= 0 else x * mp.exp(x) / 2,
    "signrelu": below(lambda x: x / (1 + abs(x))),
    "signrelu(a=2)": below(lambda x: 2 * x / (1 + abs(x))),
    "erfrelu": below(erf),
    "tanhlu": below(lambda x: mp.tanh(x / 2)),
    "power_lu": below(lambda x: 1 / (1 - x) - 1),
    "power_lu(a=0.5)": below(lambda x: 1 / mp.sqrt(1 - x) - 1),
    "fpflu": below(lambda x: x + x**2 / mp.sqrt(1 + x**2)),
    "rsigelu": rsigelu,
    "lsrelu": lsrelu(1, 1),
    "lsrelu(a=2, b=3)": lsrelu(2, 3),
    "elu_plus_one": lambda x: elu(x) + 1,
    "serlu": lambda x: mp.mpf(1.07862) * (x if x > 0 else mp.mpf(2.90427) * x * mp.exp(x)),
}
DIGITS = {"erfrelu": 200}
KINKS = {"lsrelu(a=2, b=3)": (0.0, 3.0)}
# What more than one unit in the last place of x changes, and why.
ROUNDED = {"erfrelu": (4.0, "x^2 is rounded in the slope of erf")}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_its_formula_at_many_digits(text):
    kinks = KINKS.get(text, (0.0,)) if "(" in text else None
    assert_agrees(
        text,
        TRUTHS[text],
        kinks=kinks,
        ulps_of_input=ROUNDED.get(text, (1.0, ""))[0],
        digits=DIGITS.get(text, 500),
    )


def test_every_row_has_a_truth():
    rows = known_activations().values()
    assert {r.name for r in rows if r.section == "exponential_linear"} <= TRUTHS.keys()
