"""A function of the zoo against a formula written for mpmath, in value and slope.

The truth of a test is written from the reference, not from the row: plain mpmath on numbers, with
`if` where the reference has cases.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import torch

from actsearch.primitives import inputs, read_formula, value_and_slopes
from actsearch.primitives.zoo import known_functions

Truth = Callable[..., Any]

# A slope is a central difference. The slope of tanh at 100 is 1e-86 of its value and that of erf
# at 25 1e-271 of it, so 500 digits, of which the step takes 100, leave 400 for them.
_DIGITS = 500
_RELATIVE, _ULP = mp.mpf("1e-12"), mp.mpf(2) ** -52
_TINY = mp.mpf(torch.finfo(torch.float64).tiny)
# No point is nearer to a kink; the difference must not reach over it.
_MARGIN = 1e-6
_NEAR_ZERO = (1e-30, 1e-12, 1e-8, 1e-5, 1e-3, 0.01, 0.1)


def points(kinks: Sequence[float] = (), count: int = 97) -> list[float]:
    """Numbers in [-100, 100], most of them in [-10, 10], and some near to 0 and to the kinks."""
    found = {0.0, *(s * m for m in _NEAR_ZERO for s in (1, -1))}
    for bound in (10.0, 100.0):
        found |= set(torch.linspace(-bound, bound, count, dtype=torch.float64).tolist())
    found |= {k + s * 1e-3 for k in kinks for s in (1, -1)}
    return sorted(x for x in found if all(abs(x - k) > _MARGIN for k in kinks))


def assert_agrees(
    text: str,
    truth: Truth,
    *,
    slope: Truth | None = None,
    kinks: Sequence[float] | None = None,
    beyond: float = 1e4,
    ulps_of_input: float = 1.0,
    absolute: float = 0.0,
    digits: int = _DIGITS,
) -> None:
    """Value and slopes in float64 to 1e-12 at many points of [-100, 100], beside what one unit in
    the last place of the inputs changes; finite in float32 and bfloat16 for |x| up to `beyond`.

    Args:
        text: a name of the zoo, or a call such as `snake(a=5)`.
        truth: of x, or of u and v, as mpmath numbers.
        slope: a function whose derivative the slope is, where it is not that of the value.
        kinks: points to leave out; by default those of the row. For a gated function no input
            takes them.
        beyond: smaller where the true value overflows float32.
        ulps_of_input: more where a formula rounds something before it becomes ill conditioned;
            say why.
        absolute: allowed beside, as a part of 1, where the function has a zero that its parts do
            not have; say why.
        digits: of mpmath; fewer for functions that are slow there. Slopes below
            10^-(2 digits / 5) are not told from 0.
    """
    expr = read_formula(text)
    names = inputs(expr)
    if kinks is None:
        kinks = known_functions()[text].kinks if text in known_functions() else ()
    axis = points(kinks) if len(names) == 1 else points(kinks, 9)
    grid = list(itertools.product(axis, repeat=len(names)))
    columns = torch.tensor(grid, dtype=torch.float64).T
    value, slopes = value_and_slopes(expr, dict(zip(names, columns, strict=True)))
    step = mp.mpf(10) ** -(digits // 5)
    truncated = max(_TINY, 1e20 * step**2)
    with mp.workdps(digits):
        for row, point in enumerate(grid):
            allowed = mp.mpf(absolute) + _TINY
            here = [mp.mpf(x) for x in point]
            true = truth(*here)
            unit = [ulps_of_input * _ULP * abs(x) for x in here]
            for i in range(len(names)):
                first, second = _differences(slope or truth, here, i, step)
                if slope is None:
                    allowed += unit[i] * abs(first)
                # What an input that is rounded changes in its own slope.
                room = mp.mpf(absolute) + truncated + unit[i] * abs(second)
                if len(names) > 1:
                    room += _ULP * 4 * abs(first)
                _check(slopes[i][row].item(), first, room, f"slope {names[i]} of {text} at {point}")
            _check(value[row].item(), true, allowed, f"value of {text} at {point}")
    assert_finite(text, beyond)


def assert_finite(text: str, beyond: float = 1e4) -> None:
    """Value and slopes in float32 and bfloat16 for inputs up to `beyond`, 0 and tiny ones too."""
    expr = read_formula(text)
    names = inputs(expr)
    sizes = torch.logspace(-30, math.log10(beyond), 300, dtype=torch.float64)
    x = torch.cat([-sizes, torch.zeros(1), sizes, torch.linspace(-beyond, beyond, 301)])
    for dtype in (torch.float32, torch.bfloat16):
        # Not above `beyond` by rounding to bfloat16.
        column = x.to(dtype).clamp(-beyond, beyond)
        bindings = dict(zip(names, (column, column.flip(0)), strict=False))
        value, slopes = value_and_slopes(expr, bindings)
        for kind, tensor in (("value", value), *(("slope", s) for s in slopes)):
            bad = ~torch.isfinite(tensor)
            assert not bad.any(), f"{kind} of {text} at {column[bad][:3].tolist()} in {dtype}"


def _differences(function: Truth, here: Sequence[Any], i: int, step: Any) -> tuple[Any, Any]:
    """First and second derivative by input i."""
    above, below = list(here), list(here)
    above[i] += step
    below[i] -= step
    up, down = function(*above), function(*below)
    return (up - down) / (2 * step), (up + down - 2 * function(*here)) / step**2


def _check(got: float, true: Any, room: Any, about: str) -> None:
    if abs(true) > torch.finfo(torch.float64).max:
        assert math.isinf(got), f"{about}: got {got}, true {mp.nstr(true, 17)}"
        return
    error = abs(mp.mpf(got) - true) if math.isfinite(got) else mp.inf
    assert error <= _RELATIVE * abs(true) + room, (
        f"{about}: got {got!r}, true {mp.nstr(true, 17)}, allowed {mp.nstr(room, 3)} beside 1e-12"
    )
