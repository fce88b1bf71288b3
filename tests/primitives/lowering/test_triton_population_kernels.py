"""One launch for many expressions gives what a launch for each gives.

On a GPU, or in Triton's interpreter by `test_triton_interpreter.py`.
"""

from __future__ import annotations

import os

import pytest
import torch

from actsearch.primitives import Scope, inputs, parameters, read_formula
from actsearch.primitives.lowering import triton_kernels

pytest.importorskip("triton", reason="triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip(
        "no GPU here; test_triton_interpreter.py runs these tests on the CPU",
        allow_module_level=True,
    )
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
ONE_VALUE = ("silu", "crrelu", "x*sigmoid(beta[1]*x) + gamma[0.5]*sin(x)", "1.5", "beta[0.5]", "x")
BY_CHANNEL = (
    *ONE_VALUE,
    "max(x*sigmoid(beta[1, channel]*x), sin(x))",
    "tanh(a[1, channel]*x) + b[0.5, channel]*x + c[0.25]",
)
GATES = ("u*sigmoid(u)*v", "tanh(u)", "v*beta[0.5, channel]", "u*sigmoid(beta[1]*u)*v")
CASES = {
    "flat": (ONE_VALUE, (13, 31), -1),
    "flat, several programs": (ONE_VALUE, (2, 1501), -1),
    "columns": (BY_CHANNEL, (13, 7), -1),
    "short rows": (BY_CHANNEL, (3, 5, 7), -2),
    "rows": (BY_CHANNEL, (3, 2, 144), -2),
    "one channel": (BY_CHANNEL, (3, 1, 50), -2),
    "gates": (GATES, (13, 7), -1),
}


def packed(exprs, which, channels):
    """Parameters of every slice, and NaN where a slice has fewer than others."""
    counts = [[p.scope for p in parameters(expr)] for expr in exprs]
    most = [max(scopes.count(scope) for scopes in counts) for scope in Scope]
    scalars = torch.full((len(which), most[0]), float("nan"), device=DEVICE)
    by_channel = torch.full((len(which), most[1], channels), float("nan"), device=DEVICE)
    for k, number in enumerate(which):
        places = dict.fromkeys(Scope, 0)
        for p in parameters(exprs[number]):
            target = scalars if p.scope is Scope.TENSOR else by_channel
            row = target[k, places[p.scope]]
            row.copy_(p.initial + 0.25 * torch.randn(row.shape))
            places[p.scope] += 1
    return scalars, by_channel


def trained_of(expr, scalars, by_channel):
    """Parameters of one slice in the order of the expression, from its packed rows."""
    left = {Scope.TENSOR: list(scalars), Scope.CHANNEL: list(by_channel)}
    return [left[p.scope].pop(0) for p in parameters(expr)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_every_slice_is_as_if_alone(case, dtype):
    formulas, shape, dim = CASES[case]
    exprs = [read_formula(formula) for formula in formulas]
    names = sorted({name for expr in exprs for name in inputs(expr)})
    which = [*range(len(exprs)), 1, 0, 1]
    tensors = [torch.randn(len(which), *shape).to(DEVICE, dtype) for _ in names]
    grad = torch.randn(len(which), *shape).to(DEVICE, dtype)
    scalars, by_channel = packed(exprs, which, shape[dim])
    numbers = torch.tensor(which, dtype=torch.int32, device=DEVICE)
    arguments = (tensors, scalars, by_channel, dim)
    value = triton_kernels.population_forward(exprs, numbers, *arguments)
    *by_inputs, by_scalars, by_channels = triton_kernels.population_backward(
        exprs, numbers, grad, *arguments
    )
    for k, number in enumerate(which):
        expr = exprs[number]
        given = [t[k] for name, t in zip(names, tensors, strict=True) if name in inputs(expr)]
        given = given or [tensors[0][k]]
        trained = trained_of(expr, scalars[k], by_channel[k])
        assert torch.equal(value[k], triton_kernels.forward(expr, given, trained, dim))
        found = triton_kernels.backward(expr, grad[k], given, trained, dim)
        for name, gradient in zip(names, by_inputs, strict=True):
            alone = found.pop(0) if name in inputs(expr) else torch.zeros_like(gradient[k])
            assert torch.equal(gradient[k], alone)
        found = found[len(found) - len(trained) :]
        rows = trained_of(expr, by_scalars[k], by_channels[k])
        for got, wanted in zip(rows, found, strict=True):
            torch.testing.assert_close(got, wanted)
        scopes = [p.scope for p in parameters(expr)]
        assert not by_scalars[k, scopes.count(Scope.TENSOR) :].any()
        assert not by_channels[k, scopes.count(Scope.CHANNEL) :].any()


def test_no_slices_and_no_elements():
    exprs = [read_formula("x*sigmoid(beta[1]*x)")]
    for shape in ((0, 3, 4), (2, 0, 4)):
        x = torch.empty(shape, device=DEVICE)
        which = torch.zeros(shape[0], dtype=torch.int32, device=DEVICE)
        arguments = ([x], torch.ones(shape[0], 1), torch.ones(shape[0], 0, 4), -1)
        assert triton_kernels.population_forward(exprs, which, *arguments).shape == shape
        by_x, by_scalars, _ = triton_kernels.population_backward(exprs, which, x, *arguments)
        assert by_x.shape == shape and not by_scalars.any()
