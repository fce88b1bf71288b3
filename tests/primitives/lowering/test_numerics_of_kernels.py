"""Kernels against mpmath: random formulas within their running error, as `test_numerics` has it.

Runs the CPU kernels, or Triton's: on a GPU if there is one, and with TRITON_INTERPRET=1 in its
interpreter, which `test_triton_interpreter.py` does.
"""

from __future__ import annotations

import math
import os

import mpmath as mp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from running_error import Format, ranges_of
from strategies import DIFFERENTIABLE, exprs, naive_exprs

from actsearch.primitives import Input, inputs
from actsearch.primitives.lowering import backends
from actsearch.primitives.lowering.program import backward_program, forward_program

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    backends.backend_for(torch.empty(1, device=DEVICE)) is backends.Backend.EAGER,
    reason="there is neither a C++ compiler nor a GPU here",
)

X = Input("x")
MAGNITUDES = (0.0, 1e-45, 1e-40, 1e-38, 1e-30, 1e-7, 1e-3, 0.3, 0.5, 1.0, 1.7, 2.5, 3.3, 7.7, 12.6,
              20.0, 60.0, 88.9, 104.0, 150.0, 1e3, 1e4, math.inf)  # fmt: skip
POINTS = [s * m for m in MAGNITUDES for s in (1, -1)]
# Periodic kernels lose the phase of large arguments, which random formulas reach; their own test
# covers them where they keep it.
OPERATORS = [name for name in DIFFERENTIABLE if name not in ("sin", "cos", "sinc")]
ULPS = 8
"""What a kernel function may be off by at most, see `test_kernel_functions`."""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_random_formulas_are_computed_within_their_running_error(dtype):
    form = Format(dtype)
    # Triton's interpreter cuts digits of bfloat16 off where a GPU rounds, and reads and writes
    # numbers below the normal ones wrongly.
    cuts = INTERPRETED and dtype is torch.bfloat16
    count = {"points": 0, "judged": 0, "few ulp": 0}
    kernel = backends.backend_for(torch.empty(1, device=DEVICE, dtype=dtype))
    assert (kernel is backends.Backend.TRITON) == (INTERPRETED or DEVICE == "cuda")

    def assert_within(got, program, x):
        count["points"] += 1
        (found,) = ranges_of(program, {X: x}, torch.float32, ULPS)
        if found is None:
            return
        low, high = found.low, found.high
        if dtype is not torch.float32:
            smallest = form.tiny if cuts else form.ulp(mp.mpf(0))
            low, high = form.widened(low, high, mp.mpf("1.01" if cuts else "0.51"), smallest)
        assert low <= got <= high, (
            f"{got} at {x}, true {mp.nstr(found.true, 17)}, allowed {mp.nstr(low, 17)} to "
            f"{mp.nstr(high, 17)}"
        )
        count["judged"] += 1
        count["few ulp"] += high - low <= 128 * form.ulp(found.true) + 128 * form.tiny

    @settings(max_examples=150 if INTERPRETED else 1_000)
    @given(
        exprs(operators=OPERATORS, max_leaves=6) | naive_exprs(),
        st.lists(st.sampled_from(POINTS), min_size=6, max_size=6),
    )
    def check(expr, points):
        if inputs(expr) != ("x",):
            return
        x = torch.tensor(points, dtype=torch.float64).to(dtype).to(DEVICE)
        value = backends.forward(expr, [x], [], -1)
        (slope,) = backends.backward(expr, torch.ones_like(x), [x], [], -1)
        for program, got in ((forward_program(expr), value), (backward_program(expr), slope)):
            for at, number in zip(x.tolist(), got.tolist(), strict=True):
                if not (cuts and 0 < abs(at) < form.tiny):
                    assert_within(number, program, at)

    with mp.workdps(50):
        check()
    assert count["judged"] >= 0.7 * count["points"], count
    assert count["few ulp"] >= 0.8 * count["judged"], count
