"""Generated kernels compile ahead of time for GPUs, without one, and fit into registers."""

from __future__ import annotations

import os

import pytest
import torch
from kernel_cases import FUNCTIONS
from strategies import DIFFERENTIABLE

from actsearch.primitives import OPERATORS, Apply, Input, Parameter

pytest.importorskip("triton", reason="triton is not installed")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter is on, and it does not compile", allow_module_level=True)

from kernel_builds import CAPABILITIES, kernel_builds


@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels_compile_and_do_not_spill(name):
    # All of both dtypes and capabilities are built by benchmarks/triton_build.py.
    index = list(FUNCTIONS).index(name)
    capability = CAPABILITIES[index % 2]
    dtype = (torch.float32, torch.bfloat16)[index // 2 % 2]
    builds = list(kernel_builds(FUNCTIONS[name], dtype, capability))
    assert {"forward", "backward"} <= {build.kernel.partition("_")[0] for build in builds}
    for build in builds:
        assert build.spilled == 0, build
        # Up to here three programs of 128 threads share the 65536 registers of a processor.
        assert build.registers <= 168, build
        assert build.widest_access == 16, build


GROUPS = [DIFFERENTIABLE[start : start + 6] for start in range(0, len(DIFFERENTIABLE), 6)]


@pytest.mark.slow
@pytest.mark.parametrize("names", GROUPS, ids=" ".join)
def test_every_operator_compiles_in_value_and_slope(names):
    x, beta = Input("x"), Parameter("beta", 1.0)
    expr = x
    for name in names:
        term = Apply(OPERATORS[name], (x, beta)[: OPERATORS[name].arity])
        expr = Apply(OPERATORS["add"], (expr, term))
    assert len(list(kernel_builds(expr, torch.float32, 90))) == 2
