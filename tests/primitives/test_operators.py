"""Every operator, value and slopes, against its sympy meaning at 350 digits."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import mpmath as mp
import pytest
import sympy as sp
import torch
from truth import assert_close_to_truth, is_overflow, slope_of, truth_of, ulp

from actsearch.primitives import OPERATORS, Apply, Input, evaluate, operator, value_and_slopes

_MAGNITUDES = (1e-30, 1e-3, 0.3, 0.5, 1.0, 1.7, 2.4, 2.5, 3.3, 5.0, 7.7, 12.6, 20.0, 89.0, 1e4)
UNARY_GRID = [0.0, -0.0, *(sign * m for m in _MAGNITUDES for sign in (1, -1))]
BINARY_GRID = [0.0, *(s * m for m in (1e-30, 1e-3, 0.5, 1.7, 5.0, 20.0, 1e4) for s in (1, -1))]
_ULPS = 4.0

# Each exception with its reason; there are no others.
ROUNDED_ARGUMENT = {
    "gaussian": (1, "x^2 is rounded before exp"),
    "erf": (1, "its slope is a gaussian"),
    "erfc": (1, "its slope is a gaussian"),
    "normal_cdf": (2, "x / sqrt(2) is rounded before erfc, and squared in the slope"),
    "protected_log": (1, "|x| + 1e-7 is rounded before log"),
    "protected_div": (1, "y + 1e-7 is rounded"),
    "logaddexp": (1, "its slopes are sigmoids of the rounded x - y"),
}
"""Allowed beside: what so many units in the last place of the argument change."""
CANCELS_IN_FLOAT64 = {
    "bessel_i0e": "its slope is a difference of two Bessel functions, exact in float32 only",
    "bessel_i1e": "as bessel_i0e",
    "bessel_i0e_slope": "as bessel_i0e",
    "bessel_i1e_slope": "as bessel_i0e",
}
"""Allowed beside: 1e-15 absolute, in float64."""
MORE_ULPS = {
    ("bessel_i1e", torch.float32): (8.0, "torch.special.i1e itself is 6.7 units off at 7.7"),
    ("pow", torch.float32): (300.0, "its slope rounds the exponent y - 1, times ln(1e-30)"),
    ("pow", torch.float64): (300.0, "its slope rounds the exponent y - 1, times ln(1e-30)"),
}
EARLY_OVERFLOW = {"sinh", "cosh"}
"""Infinite from |x| = 88.73 on, where exp is; their own values pass the float32 range at 89.42."""


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_value_and_slopes_are_right_to_a_few_ulp(name, dtype):
    record = OPERATORS[name]
    names = ("x", "y")[: record.arity]
    expr = Apply(record, tuple(Input(n) for n in names))
    truth = truth_of(record.sympy(sp, *sp.symbols(names, real=True)), names)
    grid = UNARY_GRID if record.arity == 1 else BINARY_GRID
    points = torch.tensor(list(itertools.product(grid, repeat=record.arity)), dtype=torch.float64)
    bindings = {n: points[:, i].to(dtype) for i, n in enumerate(names)}
    outputs = [(evaluate(expr, bindings), truth)]
    if record.slopes:
        _, slopes = value_and_slopes(expr, bindings)
        sloped = truth_of(sp.Symbol("y", real=True), names) if name == "surrogate" else truth
        outputs += [(slope, slope_of(sloped, i)) for i, slope in enumerate(slopes)]
    checked = 0
    for row in range(len(points)):
        point = [bindings[n][row].item() for n in names]
        for kind, (got, true_function) in enumerate(outputs):
            true = true_function(point)
            if true is None:
                continue
            number = got[row].item()
            if name in EARLY_OVERFLOW and is_overflow(2 * true, dtype) and math.isinf(number):
                continue
            slack = mp.mpf(0)
            if name in ROUNDED_ARGUMENT:
                units, _ = ROUNDED_ARGUMENT[name]
                slack = units * _effect_of_rounding(true_function, point, true, dtype)
            if name in CANCELS_IN_FLOAT64 and dtype is torch.float64:
                slack = mp.mpf(1e-15)
            assert_close_to_truth(
                number,
                true,
                dtype,
                ulps=0.51
                if dtype is torch.bfloat16
                else MORE_ULPS.get((name, dtype), (_ULPS, ""))[0],
                slack=slack,
                about=f"{'value' if kind == 0 else f'slope {kind}'} of {name} at {point}",
            )
            checked += 1
    assert checked >= len(points) // 3


def _effect_of_rounding(function, point, true, dtype):
    wide = torch.float32 if dtype is torch.bfloat16 else dtype
    total = mp.mpf(0)
    for index, coordinate in enumerate(point):
        for sign in (1, -1):
            moved = [mp.mpf(p) for p in point]
            moved[index] += sign * ulp(coordinate, wide)
            near = function(moved)
            total = max(total, abs(near - true)) if near is not None else total
    return total


def test_exceptions_name_operators_that_exist():
    named = {*ROUNDED_ARGUMENT, *CANCELS_IN_FLOAT64, *EARLY_OVERFLOW, *(n for n, _ in MORE_ULPS)}
    assert named <= set(OPERATORS)


def test_unknown_operator_suggests_the_nearest():
    with pytest.raises(KeyError, match="unknown operator 'sofplus'; did you mean 'softplus'"):
        operator("sofplus")


@pytest.mark.parametrize("name", OPERATORS)
def test_nan_stays_nan(name):
    record = OPERATORS[name]
    if name in ("step", "sign", "greater", "chain"):
        pytest.skip("a comparison: torch.sign(nan) is 0")
    nan = torch.tensor([float("nan")])
    expr = Apply(record, tuple(Input(n) for n in ("x", "y")[: record.arity]))
    assert torch.isnan(evaluate(expr, {"x": nan, "y": nan})).all()


@pytest.mark.parametrize("name", OPERATORS)
def test_growth_bounds_the_value_at_1e4(name):
    record = OPERATORS[name]
    bound = record.growth(*[1.0] * record.arity)
    if math.isinf(bound):
        pytest.skip("may overflow")
    ends = torch.tensor([-1e4, 1e4, -3e3, 3e3], dtype=torch.float64)
    columns = ends.repeat_interleave(4), ends.repeat(4)
    expr = Apply(record, tuple(Input(n) for n in ("x", "y")[: record.arity]))
    value = evaluate(expr, dict(zip("xy", columns, strict=False))).nan_to_num(0.0)
    assert value.abs().max() <= 20 * 1e4**bound


def test_the_documentation_lists_every_operator_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "formulas.md").read_text("utf-8")
    for record in OPERATORS.values():
        arguments = ", ".join("xy"[: record.arity])
        meaning = record.formula.replace("|", "\\|")
        assert f"| `{record.name}({arguments})` | {meaning} | {record.source} |" in page
