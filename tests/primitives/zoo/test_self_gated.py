"""Smooth self-gated functions against the reference, torch and transformers."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from agreement import assert_agrees
from reference import clip, erf, logistic, normal_cdf, number, softplus
from torch.nn import functional

from actsearch.primitives import evaluate, known_activations, read_formula, value_and_slopes

TRUTHS = {
    "gelu": lambda x: x * normal_cdf(x),
    "gelu_tanh": lambda x: (
        # x/2 (1 + tanh z), which has no digits left below -5 when it is written so.
        x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + number("0.044715") * x**3)))
    ),
    "quick_gelu": lambda x: x * logistic(number("1.702") * x),
    "gelu_10": lambda x: clip(x * normal_cdf(x), -10, 10),
    "silu": lambda x: x * logistic(x),
    "hardswish": lambda x: x * clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * mp.tanh(softplus(x)),
    "hard_mish": lambda x: x / 2 * clip(x + 2, 0, 2),
    "golu": lambda x: x * mp.exp(-mp.exp(-x)),
    "golu(a=0.5, b=2, g=3)": lambda x: x * mp.exp(-2 * mp.exp(-3 * x)) / 2,
    "loglogish": lambda x: x * (1 - mp.exp(-mp.exp(x))),
    "telu": lambda x: x * mp.tanh(mp.exp(x)),
    "smish": lambda x: x * mp.tanh(mp.log(1 + logistic(x))),
    "smish(a=2, b=0.5)": lambda x: 2 * x * mp.tanh(mp.log(1 + logistic(x / 2))),
    "logish": lambda x: x * mp.log(1 + logistic(x)),
    "serf": lambda x: x * erf(softplus(x)),
    "phish": lambda x: x * mp.tanh(x * normal_cdf(x)),
    "gish": lambda x: x * mp.log(2 - mp.exp(-mp.exp(x))),
    "lisht": lambda x: x * mp.tanh(x),
    "atlu": lambda x: x * (mp.atan(x) / mp.pi + mp.mpf(1) / 2),
    "sinsig": lambda x: x * mp.sin(mp.pi / 2 * logistic(x)),
    "eanaf": lambda x: x * mp.exp(x) / (mp.exp(x) + 2),
    "colu": lambda x: x / (1 - x * mp.exp(-(x + mp.exp(x)))),
    "pflu": lambda x: x / 2 * (1 + x / mp.sqrt(1 + x**2)),
    "swat": lambda x: x * logistic(mp.atan(x)),
    "tsrelu": lambda x: x * mp.tanh(logistic(x)),
    "tbsrelu": lambda x: x * mp.tanh(mp.tanh(x / 2)),
    "suish": lambda x: max(x, x * mp.exp(-abs(x))),
    "double_silu": lambda x: x * logistic(x * logistic(x)),
    "selfarctan": lambda x: x * mp.atan(x),
    "tanhsig": lambda x: (x + mp.tanh(x)) * logistic(x),
    "sechsig": lambda x: (x + mp.sech(x)) * logistic(x),
}


ABSOLUTE = {
    "atlu": 1e-17,  # far below 0 its slope is the small difference of gate and x times its slope
    "phish": 1e-100,  # its slope at 0 is 0, where the difference of the test is 1e-121
}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_the_reference(text):
    assert_agrees(text, TRUTHS[text], absolute=ABSOLUTE.get(text, 0.0))


def test_every_row_has_a_truth():
    section = {r.name for r in known_activations().values() if r.section == "self_gated"}
    assert section <= TRUTHS.keys()


TORCH = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "hardswish": functional.hardswish,
}


@pytest.mark.parametrize("name", TORCH)
def test_agrees_with_torch_in_value_and_slope(name):
    x = torch.linspace(-6.01, 6.01, 400, dtype=torch.float64).requires_grad_()
    expected = TORCH[name](x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    value, (slope,) = value_and_slopes(read_formula(name), {"x": x.detach()})
    # torch has 1/6 of hardswish in float32, and the tanh form of gelu cancels below 0.
    single = {"rtol": 1e-7, "atol": 1e-9} if name == "hardswish" else {"rtol": 1e-12, "atol": 1e-14}
    torch.testing.assert_close(value, expected.detach(), **single)
    torch.testing.assert_close(slope, expected_slope, **single)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("gelu", "gelu"),
        ("gelu", "gelu_python"),
        ("gelu_10", "gelu_10"),
        ("gelu_fast", "gelu_fast"),
        ("gelu_new", "gelu_new"),
        ("gelu_accurate", "gelu_accurate"),
        ("gelu_pytorch_tanh", "gelu_pytorch_tanh"),
        ("gelu_python_tanh", "gelu_python_tanh"),
        ("quick_gelu", "quick_gelu"),
        ("silu", "silu"),
        ("swish", "swish"),
        ("mish", "mish"),
        ("hardswish", "hardswish"),
    ],
)
def test_agrees_with_transformers(ours, theirs):
    activations = pytest.importorskip("transformers.activations")
    x = torch.linspace(-12, 12, 500, dtype=torch.float64)
    expected = activations.ACT2FN[theirs](x)
    torch.testing.assert_close(
        evaluate(read_formula(ours), {"x": x}), expected, rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize(
    ("name", "at", "lowest"),
    [
        ("gelu", -0.75179, -0.16997),
        ("silu", -1.2785, -0.2785),
        ("mish", -1.19244, -0.30884),
    ],
)
def test_minimum_is_that_of_the_reference(name, at, lowest):
    x = torch.linspace(-3, 0, 300_001, dtype=torch.float64)
    value = evaluate(read_formula(name), {"x": x})
    assert float(value.min()) == pytest.approx(lowest, abs=5e-5)
    assert float(x[value.argmin()]) == pytest.approx(at, abs=5e-4)
