"""The zoo against torch's own functions and against mpmath, and the float traps."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from torch.nn import functional
from truth import assert_close_to_truth, slope_of, truth_of, ulp

from actsearch.primitives import (
    Constant,
    evaluate,
    inputs,
    known_activations,
    parameters,
    read_formula,
    value_and_slopes,
)
from actsearch.primitives.expr import substitute
from actsearch.primitives.symbolic import to_sympy

TORCH_FUNCTIONS = {
    "identity": lambda x: x.clone(),
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "relu_squared": lambda x: functional.relu(x) ** 2,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: functional.softplus(x, threshold=40.0),
    "prelu": lambda x: functional.prelu(x, x.new_tensor(0.25)),
    "snake": lambda x: x + torch.sin(x) ** 2,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}
WIDE = [s * m for m in (1e-30, 1e-3, 0.5, 1.0, 3.3, 5.0, 20.0, 89.0, 150.0, 1e4) for s in (1, -1)]
TRAPS = {
    "x/(1 + exp(-x))": "silu, spelled naively",
    "1/(1 + exp(-x))": "sigmoid, spelled naively",
    "x*exp(-exp(-x))": "golu",
    "x*tanh(exp(x))": "telu",
    "-x*expm1(-exp(x))": "complementary log-log gate",
    "x*log1p(-expm1(-exp(x)))": "loglogish",
    "x*erf(softplus(x))": "erf gate of softplus",
    "x*tanh(softplus(x))": "mish",
    "x*log1p(sigmoid(x))": "logish",
    "sqrt(softplus(x))": "slope inf * 0 once softplus underflows",
    "logaddexp(0, x)": "softplus",
    "asinh(x)*sigmoid(x)": "large negative asinh",
    "sinc(x)*x": "sinc at 0",
}
# The other rows of the zoo are held against mpmath in tests/primitives/zoo.
WELL_KNOWN = (
    *TORCH_FUNCTIONS,
    *("crrelu", "golu", "glu", "bilinear", "reglu", "geglu", "swiglu"),
)
FORMULAS = {
    **{name: known_activations()[name].expr for name in WELL_KNOWN},
    **{text: read_formula(text) for text in TRAPS},
}


@pytest.mark.parametrize("name", TORCH_FUNCTIONS)
def test_agrees_with_torch_in_value_and_gradient(name):
    x = torch.linspace(-6, 6, 501, dtype=torch.float64)
    x = x[x.abs() > 1e-9].requires_grad_()
    expected = TORCH_FUNCTIONS[name](x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    value, (slope,) = value_and_slopes(FORMULAS[name], {"x": x.detach()})
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-11, atol=1e-12)


def test_swiglu_gates_the_second_input():
    u, v = torch.randn(2, 50, dtype=torch.float64)
    value = evaluate(FORMULAS["swiglu"], {"u": u, "v": v})
    torch.testing.assert_close(value, functional.silu(u) * v)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_is_finite_and_right_to_1e4(name, dtype):
    expr = FORMULAS[name]
    points = torch.tensor([0.0, *WIDE], dtype=torch.float64).to(dtype)
    names = inputs(expr)
    bindings = dict.fromkeys(names, points)
    value, slopes = value_and_slopes(expr, bindings)
    fixed = substitute(expr, {p: Constant(p.initial) for p in parameters(expr)})
    truth = truth_of(to_sympy(fixed), names)
    wide = torch.float32 if dtype is torch.bfloat16 else dtype
    for row, x in enumerate(points.tolist()):
        point = [x] * len(names)
        for kind, (got, function) in enumerate(
            [(value, truth), *((slope, slope_of(truth, i)) for i, slope in enumerate(slopes))]
        ):
            true = function(point)
            if true is None:
                continue
            # What 4 units in the last place of x change; near 0 the terms of a sum are of size 1;
            # a gate that is flushed to 0 is multiplied by x twice, or under a root.
            slack = 4 * ulp(max(1, abs(true)), wide) if abs(x) < 2 else mp.mpf(0)
            flushed = mp.mpf(torch.finfo(dtype).tiny)
            slack = max(slack, mp.sqrt(flushed) if "sqrt" in name else (1 + x * x) * flushed)
            for sign in (1, -1):
                near = function([mp.mpf(x) + sign * ulp(x, wide)] * len(names))
                slack = max(slack, 4 * abs(near - true)) if near is not None else slack
            assert_close_to_truth(
                got[row].item(),
                true,
                dtype,
                ulps=1.0 if dtype is torch.bfloat16 else 12.0,
                slack=slack,
                about=f"{'value' if kind == 0 else f'slope {kind}'} of {name} at {x}",
            )


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "golu", "softplus", "sigmoid"])
def test_lower_tail_keeps_its_digits(name):
    truth = truth_of(to_sympy(FORMULAS[name]), ["x"])
    for dtype, relative in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        x = torch.tensor([-3.0, -5.0, -8.0, -12.0, -20.0, -30.0], dtype=dtype)
        value = evaluate(FORMULAS[name], {"x": x})
        for point, got in zip(x.tolist(), value.tolist(), strict=True):
            true = truth([point])
            if abs(true) > torch.finfo(dtype).tiny:
                assert abs(got / true - 1) < relative, f"{name} at {point} in {dtype}"


@pytest.mark.parametrize(
    ("name", "kink", "slope"),
    [
        ("relu", 0.0, 0.5),
        ("abs(x)", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.505),
        ("elu", 0.0, 1.0),
        ("selu", 0.0, 1.0507009873554805 * (1 + 1.6732632423543772) / 2),
        ("hard_sigmoid_keras2(x)", 2.5, 0.1),
        ("max(-1, min(1, x))", 1.0, 0.5),
        ("relu(x) - relu(-x)", 0.0, 1.0),
        ("max(x, -x)", 0.0, 0.0),
    ],
)
def test_slope_at_a_kink_is_the_midpoint(name, kink, slope):
    expr = read_formula(name)
    _, (got,) = value_and_slopes(expr, {"x": torch.tensor([kink, -0.0 if kink == 0 else kink])})
    torch.testing.assert_close(got, torch.full((2,), slope))


def test_baselines_are_known_and_read_back():
    for name, known in known_activations().items():
        assert read_formula(name) == known.expr
        assert read_formula(known.expr.text) == known.expr
        for alias in known.aliases:
            assert read_formula(alias) == known.expr
