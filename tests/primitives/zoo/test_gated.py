"""Gated units against the reference, in value and both slopes."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from agreement import assert_agrees
from reference import arctan_gate, clip, logistic, normal_cdf, tanh
from torch.nn import functional

from actsearch.primitives import evaluate, known_activations, read_formula


def elu(x):
    return x if x > 0 else mp.exp(x) - 1


def selu(x):
    scale, alpha = mp.mpf(1.0507009873554805), mp.mpf(1.6732632423543772)
    return scale * (x if x > 0 else alpha * (mp.exp(x) - 1))


def expanded(gate, a, *, order):
    return lambda u, v: ((1 + 2 * mp.mpf(a)) * gate(u) - a) * v * (u if order == 2 else 1)


def clamped(u, v):
    u, v = min(u, mp.mpf(7)), clip(v, -7, 7)
    return (v + 1) * u * logistic(mp.mpf(1.702) * u)


def capped(z):
    return 7 * tanh(z / 7)


def refined(u, v):
    g, r = logistic(u), logistic(v)
    return (1 - r) * g**2 + r * (1 - (1 - g) ** 2)


TRUTHS = {
    "glu": lambda u, v: v * logistic(u),
    "bilinear": lambda u, v: u * v,
    "reglu": lambda u, v: max(u, 0) * v,
    "geglu": lambda u, v: u * normal_cdf(u) * v,
    "swiglu": lambda u, v: u * logistic(u) * v,
    "swiglu(b=2)": lambda u, v: u * logistic(2 * u) * v,
    "gtu": lambda u, v: tanh(v) * logistic(u),
    "seglu": lambda u, v: selu(u) * v,
    "tanh_glu": lambda u, v: tanh(u) * v,
    "relu2glu": lambda u, v: max(u, 0) ** 2 * v,
    "drelu": lambda u, v: max(u, 0) * max(v, 0),
    "xatglu": expanded(arctan_gate, 0, order=2),
    "xatglu(a=0.25)": expanded(arctan_gate, 0.25, order=2),
    "xgeglu": expanded(normal_cdf, 0, order=2),
    "xgeglu(a=0.25)": expanded(normal_cdf, 0.25, order=2),
    "xswiglu": expanded(logistic, 0, order=2),
    "xswiglu(a=0.25)": expanded(logistic, 0.25, order=2),
    "xatglu_first_order": expanded(arctan_gate, 0, order=1),
    "xatglu_first_order(a=0.25)": expanded(arctan_gate, 0.25, order=1),
    "xgeglu_first_order": expanded(normal_cdf, 0, order=1),
    "xgeglu_first_order(a=0.25)": expanded(normal_cdf, 0.25, order=1),
    "xswiglu_first_order": expanded(logistic, 0, order=1),
    "xswiglu_first_order(a=0.25)": expanded(logistic, 0.25, order=1),
    "swiglu_oai": clamped,
    "softcapped_swiglu": lambda u, v: capped(u) * logistic(u) * capped(v),
    "lstm_gated_tanh": lambda u, v: tanh(u) * logistic(v),
    "refined_gate": refined,
    "dual_relu": lambda u, v: max(u, 0) - max(v, 0),
    "dual_elu": lambda u, v: elu(u) - elu(v),
    "maxout": max,
}
# No input takes these. Where u = v maxout has a kink, which the slope halves.
KINKS = {
    **{name: [0.0] for name in ("reglu", "seglu", "relu2glu", "drelu", "dual_relu", "dual_elu")},
    "swiglu_oai": [-7.0, 7.0],
}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_the_reference(text):
    # Gates with a zero cancel there, and so do u and v.
    assert_agrees(text, TRUTHS[text], kinks=KINKS.get(text), absolute=1e-14)


def test_every_row_has_a_truth():
    section = {r.name for r in known_activations().values() if r.section == "gated"}
    assert section <= TRUTHS.keys()


TORCH = {
    "glu": lambda u, v: functional.glu(torch.cat([v, u]), dim=0),
    "reglu": lambda u, v: functional.relu(u) * v,
    "geglu": lambda u, v: functional.gelu(u) * v,
    "swiglu": lambda u, v: functional.silu(u) * v,
    "seglu": lambda u, v: functional.selu(u) * v,
    "maxout": torch.maximum,
}


@pytest.mark.parametrize("name", TORCH)
def test_agrees_with_torch(name):
    u, v = torch.randn(2, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = evaluate(read_formula(name), {"u": u, "v": v})
    torch.testing.assert_close(value, TORCH[name](u, v))


def test_clamped_swiglu_is_that_of_transformers():
    module = pytest.importorskip("transformers.models.gpt_oss.modeling_gpt_oss")
    experts = module.GptOssExperts
    if not hasattr(experts, "_apply_gate"):
        pytest.skip("this version has no separate gate")
    u, v = 10 * torch.randn(2, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    holder = type("Constants", (), {"alpha": 1.702, "limit": 7.0})()
    expected = experts._apply_gate(holder, torch.stack([u, v], dim=-1).flatten(-2))
    torch.testing.assert_close(evaluate(read_formula("swiglu_oai"), {"u": u, "v": v}), expected)
