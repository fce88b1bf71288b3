"""The zoo against the functions of torch and of transformers that have the same name."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from actsearch.primitives import inputs, read_formula, value_and_slopes
from actsearch.primitives.zoo.rows import functions

TORCH = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "leaky_relu(a=0.2)": lambda x: functional.leaky_relu(x, 0.2),
    "threshold(t=0.1, v=20)": lambda x: functional.threshold(x, 0.1, 20.0),
    "hardtanh": functional.hardtanh,
    "hardtanh(low=-2, high=3)": lambda x: functional.hardtanh(x, -2.0, 3.0),
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "elu": functional.elu,
    "elu(a=0.5)": lambda x: functional.elu(x, 0.5),
    "celu": functional.celu,
    "celu(a=2)": lambda x: functional.celu(x, 2.0),
    "selu": functional.selu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "softplus": lambda x: functional.softplus(x, threshold=40.0),
    "softplus(b=3)": lambda x: functional.softplus(x, 3.0, threshold=40.0),
    "softshrink": functional.softshrink,
    "hardshrink": functional.hardshrink,
    "hardshrink(l=1)": lambda x: functional.hardshrink(x, 1.0),
    "tanhshrink": functional.tanhshrink,
    "softsign": functional.softsign,
    "logsigmoid": functional.logsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "prelu": lambda x: functional.prelu(x, x.new_tensor(0.25)),
    "prelu(a=0.1)": lambda x: functional.prelu(x, x.new_tensor(0.1)),
    "arctan": torch.atan,
    "exp": torch.exp,
    "abs": torch.abs,
    "sign": torch.sign,
}


@pytest.mark.parametrize("text", TORCH)
def test_agrees_with_torch(text):
    x = torch.linspace(-6, 6, 1201, dtype=torch.float64)[1:-1]
    # Not at kinks, where torch takes a side: between the points of a grid that has them.
    x = (x + 0.00123).requires_grad_()
    expected = TORCH[text](x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    value, (slope,) = value_and_slopes(read_formula(text), {"x": x.detach()})
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-13)
    # torch rounds the slope of hardsigmoid to float32.
    rounded = 1e-7 if text == "hardsigmoid" else 1e-11
    torch.testing.assert_close(slope, expected_slope, rtol=rounded, atol=1e-12)


def test_glu_of_torch_gates_with_its_second_half():
    u, v = torch.randn(2, 50, dtype=torch.float64)
    value, _ = value_and_slopes(read_formula("glu"), {"u": u, "v": v})
    torch.testing.assert_close(value, functional.glu(torch.cat([v, u])))


def test_agrees_with_transformers_under_its_own_names():
    activations = pytest.importorskip("transformers.activations")
    x = torch.linspace(-8, 8, 801, dtype=torch.float64) + 0.00123
    compared = set()
    for name in set(activations.ACT2FN) & functions().keys():
        expr = read_formula(name)
        if inputs(expr) != ("x",):
            continue
        module = activations.ACT2FN[name]
        if any(p.requires_grad for p in module.parameters()):
            module = module.double()
        value, _ = value_and_slopes(expr, {"x": x})
        with torch.no_grad():
            expected = module(x)
        # Some write the constants of gelu with seven digits, and xielu has bfloat16 parameters.
        rtol = 2e-3 if name == "xielu" else 1e-6
        torch.testing.assert_close(value, expected.to(x.dtype), rtol=rtol, atol=1e-6)
        compared.add(name)
    assert {"gelu", "gelu_new", "quick_gelu", "silu", "mish", "relu2", "laplace"} <= compared
