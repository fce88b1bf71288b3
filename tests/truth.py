"""High-precision truth: the sympy meaning of an operator or expression, evaluated by mpmath."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import sympy as sp
import torch
from sympy.utilities.lambdify import lambdify

# A slope is a central difference with step 1e-100; that of erf at 20 is 1e-174 of its value.
mp.mp.dps = 350
_STEPS = (mp.mpf(10) ** -100, mp.mpf(10) ** -90)


def _heaviside(x: Any, at_zero: Any) -> Any:
    return at_zero if x == 0 else mp.mpf(1 if x > 0 else 0)


_MEANINGS = {
    "Heaviside": _heaviside,
    "sinc": lambda x: mp.sin(x) / x if x else mp.mpf(1),
    "Max": lambda *args: max(args),
    "Min": lambda *args: min(args),
    "sign": mp.sign,
    # mpmath takes minutes for exp(exp(1e4)); e^-1e6 and e^1e6 are beyond every dtype.
    "exp": lambda x: mp.exp(max(-1_000_000, min(x, 1_000_000))),
}

Truth = Callable[[Sequence[Any]], Any]


def truth_of(meaning: Any, names: Sequence[str]) -> Truth:
    """The function at 350 digits; None where it is not a real number."""
    symbols = [sp.Symbol(name, real=True) for name in names]
    function = lambdify(symbols, meaning, modules=[_MEANINGS, "mpmath"])

    def value(point: Sequence[Any]) -> Any:
        try:
            found = mp.mpmathify(function(*[mp.mpf(p) for p in point]))
        except (ZeroDivisionError, OverflowError, ValueError, TypeError):
            return None
        if isinstance(found, mp.mpc):
            return found.real if found.imag == 0 else None
        return None if mp.isnan(found) else found

    return value


def slope_of(truth: Truth, index: int) -> Truth:
    """Slope by argument `index`: by the central difference, so the midpoint at a kink; None where
    there is none, at a jump or a pole."""

    def slope(point: Sequence[Any]) -> Any:
        here, found = truth(point), []
        if here is None or mp.isinf(here):
            return None
        for step in _STEPS:
            up, down = list(map(mp.mpf, point)), list(map(mp.mpf, point))
            up[index] += step
            down[index] -= step
            above, below = truth(up), truth(down)
            if above is None or below is None or mp.isinf(above) or mp.isinf(below):
                return None
            found.append((above - below) / (2 * step))
        one, other = found
        if abs(one - other) > mp.mpf(10) ** -40 * max(1, abs(one)):
            return None
        return one + (one - other) / ((_STEPS[1] / _STEPS[0]) ** 2 - 1)

    return slope


def ulp(value: Any, dtype: torch.dtype) -> Any:
    """Distance between neighbouring numbers of the dtype near the value."""
    info = torch.finfo(dtype)
    magnitude = max(abs(value), mp.mpf(info.tiny))
    return mp.mpf(2) ** int(mp.floor(mp.log(magnitude, 2))) * info.eps


def is_overflow(value: Any, dtype: torch.dtype) -> bool:
    """Whether the value rounds to infinity in the dtype."""
    largest = torch.finfo(dtype).max
    return abs(value) >= mp.mpf(largest) + ulp(largest, dtype) / 2


def assert_close_to_truth(
    got: float, truth: Any, dtype: torch.dtype, *, ulps: float, slack: Any = 0, about: str = ""
) -> None:
    """Within `ulps` units in the last place, plus `slack`, plus the smallest normal number
    (torch's vectorised exp and products return 0 for subnormal results)."""
    if is_overflow(truth, dtype):
        assert math.isinf(got) and (got > 0) == (truth > 0), f"{about}: {got} must be inf"
        return
    assert math.isfinite(got), f"{about}: got {got}, true {mp.nstr(truth, 17)}"
    error = abs(mp.mpf(got) - truth)
    allowed = ulps * ulp(truth, dtype) + slack + mp.mpf(torch.finfo(dtype).tiny)
    assert error <= allowed, (
        f"{about}: got {got!r}, true {mp.nstr(truth, 17)}, "
        f"{mp.nstr(error / ulp(truth, dtype), 3)} units in the last place off"
    )
