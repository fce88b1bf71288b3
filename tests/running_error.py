"""What floating point may return for a program: its true value and a range around it, by mpmath.

`MEANINGS` is a second table of what the operators are, written for mpmath and independent of the
lowering; a test compares it with the records' sympy meaning. `ranges_of` carries, for each
instruction, the value in exact arithmetic and the range in which a computed value may lie. The
range of a result is spanned by the operator at the ends of the ranges of its arguments, which is
the running error analysis |partial derivative| * error, with differences for derivatives so that
it also holds at kinks, overflows and near singular points. It is widened by the rounding of the
operator itself. So a sum that cancels gets a wide range, and a well conditioned one of a few ulp.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import torch

from actsearch.primitives import Constant, Expr
from actsearch.primitives.lowering.program import Program

_INFINITY, _NAN = mp.inf, mp.nan
# e^1e6 is beyond every dtype, and mpmath takes minutes for exp(exp(1e4)).
_LARGEST_EXPONENT = 1_000_000


def _exp(x: Any) -> Any:
    if mp.isinf(x):
        return _INFINITY if x > 0 else mp.mpf(0)
    return mp.exp(max(-_LARGEST_EXPONENT, min(x, _LARGEST_EXPONENT)))


def _expm1(x: Any) -> Any:
    return mp.expm1(x) if abs(x) < 1 else _exp(x) - 1


def _log(x: Any) -> Any:
    if x < 0:
        return _NAN
    return mp.log(x) if x else -_INFINITY


def _log1p(x: Any) -> Any:
    if mp.isinf(x) or x <= -1:
        return _log(1 + x)
    return mp.log1p(x)


def _sqrt(x: Any) -> Any:
    return mp.sqrt(x) if x >= 0 else _NAN


def _reciprocal(x: Any) -> Any:
    return 1 / x if x else _NAN


def _sign(x: Any) -> Any:
    return mp.mpf((x > 0) - (x < 0))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + _exp(-x))


def _softplus(x: Any) -> Any:
    return max(x, mp.mpf(0)) + _log1p(_exp(-abs(x)))


def _periodic(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    # Beyond 1e300 mpmath becomes slow.
    return lambda x: _NAN if abs(x) > mp.mpf(10) ** 300 else function(x)


_sin, _cos = _periodic(mp.sin), _periodic(mp.cos)


def _sinc(x: Any) -> Any:
    return _sin(x) / x if x else mp.mpf(1)


def _sinc_slope(x: Any) -> Any:
    if abs(x) < mp.mpf(10) ** -12:
        return -x / 3 + x**3 / 30
    return (_cos(x) - _sin(x) / x) / x


def _sech_squared(x: Any) -> Any:
    decay = _exp(-2 * abs(x))
    return 4 * decay / (1 + decay) ** 2


def _tanh(x: Any) -> Any:
    return mp.tanh(x) if abs(x) < _LARGEST_EXPONENT else _sign(x)


def _asinh(x: Any) -> Any:
    return _sign(x) * mp.asinh(abs(x))


def _erfc(x: Any) -> Any:
    if abs(x) > 1_000:
        return mp.mpf(0 if x > 0 else 2)
    return mp.erfc(x)


def _scaled_bessel(order: int, x: Any) -> Any:
    # mpmath's series for larger arguments take minutes.
    return _NAN if abs(x) > 20_000 else mp.besseli(order, x) * mp.exp(-abs(x))


def _bessel_i0e_slope(x: Any) -> Any:
    return _scaled_bessel(1, x) - _sign(x) * _scaled_bessel(0, x)


def _bessel_i1e_slope(x: Any) -> Any:
    halves = (_scaled_bessel(0, x) + _scaled_bessel(2, x)) / 2
    return halves - _sign(x) * _scaled_bessel(1, x)


def _div(x: Any, y: Any) -> Any:
    return x / y if y else _NAN


def _pow(x: Any, y: Any) -> Any:
    if mp.isinf(x) or mp.isinf(y) or (not x and y <= 0) or (x < 0 and y != mp.floor(y)):
        return _NAN
    if not x:
        return mp.mpf(0)
    sign = -1 if x < 0 and int(y) % 2 else 1
    return sign * _exp(y * mp.log(abs(x)))


def _greater(x: Any, y: Any) -> Any:
    return (1 + _sign(x - y)) / 2 if x != y else mp.mpf("0.5")


def _analytic_quotient(x: Any, y: Any) -> Any:
    return x / mp.sqrt(1 + y * y)


def _logaddexp(x: Any, y: Any) -> Any:
    larger, smaller = max(x, y), min(x, y)
    if mp.isinf(larger):
        return larger
    return larger + _log1p(_exp(smaller - larger))


def _log_cosh(x: Any) -> Any:
    return abs(x) + _log1p(_exp(-2 * abs(x))) - mp.log(2) if x else mp.mpf(0)


def _tanh_shrink(x: Any) -> Any:
    return x if mp.isinf(x) else mp.mpf(x - _tanh(x))


def _round(x: Any) -> Any:
    return mp.nint(x) if mp.isfinite(x) else x


def _selu(x: Any) -> Any:
    scale, alpha = mp.mpf(1.0507009873554805), mp.mpf(1.6732632423543772)
    return scale * (x if x > 0 else alpha * _expm1(x))


MEANINGS: dict[str, Callable[..., Any]] = {
    "neg": lambda x: -x,
    "abs": abs,
    "sign": _sign,
    "step": lambda x: (1 + _sign(x)) / 2,
    "round": _round,
    "square": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "sqrt": _sqrt,
    "signed_sqrt": lambda x: _sign(x) * mp.sqrt(abs(x)),
    "reciprocal": _reciprocal,
    "exp": _exp,
    "expm1": _expm1,
    "gaussian": lambda x: _exp(-x * x),
    "log": _log,
    "log1p": _log1p,
    "protected_log": lambda x: mp.log(abs(x) + mp.mpf(1e-7)),
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "log_cosh": _log_cosh,
    "sin": _sin,
    "cos": _cos,
    "sinc": _sinc,
    "sinc_slope": _sinc_slope,
    "sinh": lambda x: mp.sinh(x) if abs(x) < 1 else (_exp(x) - _exp(-x)) / 2,
    "cosh": lambda x: (_exp(x) + _exp(-x)) / 2,
    "tanh": _tanh,
    "sech_squared": _sech_squared,
    "tanh_shrink": _tanh_shrink,
    "asinh": _asinh,
    "atan": mp.atan,
    "relu": lambda x: max(x, mp.mpf(0)),
    "sigmoid": _sigmoid,
    "hard_sigmoid_keras2": lambda x: max(mp.mpf(0), min(mp.mpf(1), x / 5 + mp.mpf("0.5"))),
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": lambda x: x if x > 0 else _expm1(x),
    "selu": _selu,
    "erf": lambda x: mp.erf(x) if abs(x) < 1_000 else _sign(x),
    "erfc": _erfc,
    "normal_cdf": lambda x: _erfc(-x / mp.sqrt(2)) / 2,
    "bessel_i0e": lambda x: _scaled_bessel(0, x),
    "bessel_i1e": lambda x: _scaled_bessel(1, x),
    "bessel_i0e_slope": _bessel_i0e_slope,
    "bessel_i1e_slope": _bessel_i1e_slope,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": _div,
    "pow": _pow,
    "max": max,
    "min": min,
    "greater": _greater,
    "protected_div": lambda x, y: _div(x, y + mp.mpf(1e-7)),
    "analytic_quotient": _analytic_quotient,
    "logaddexp": _logaddexp,
    "surrogate": lambda x, y: x,
    "chain": lambda x, y: x * y if x and y else mp.mpf(0),
}
"""Real functions with infinity; not a number where they are undefined or not computed here."""

EXACT = frozenset(
    ("neg", "abs", "sign", "step", "round", "relu", "max", "min", "greater", "surrogate")
)
_ULPS = 4
# torch.special.i0e itself is up to 6 units off, and i1e 7.
_MORE_ULPS = {"bessel_i0e": 8, "bessel_i1e": 8}
# Units in the last place by which an argument is rounded before the operator's own formula.
_ROUNDED_ARGUMENT = {
    "gaussian": 1,
    "normal_cdf": 2,
    "erfc": 1,
    "protected_log": 1,
    "protected_div": 1,
}
# The slopes of Bessel functions are differences in float64.
_CANCELS = frozenset(("bessel_i0e_slope", "bessel_i1e_slope"))
# Operators that have extrema elsewhere than at 0, and bounds of their values.
_TURNS = {
    "sin": (-1.01, 1.01),
    "cos": (-1.01, 1.01),
    "sinc": (-0.22, 1.01),
    "sinc_slope": (-0.44, 0.44),
    "bessel_i1e": (-0.22, 0.22),
    "bessel_i0e_slope": (-1.01, 1.01),
    "bessel_i1e_slope": (-0.1, 0.51),
}
_UNDEFINED_AT_INFINITY = frozenset(("sin", "cos", "sinc", "sinc_slope"))
_EARLY_OVERFLOW = frozenset(("sinh", "cosh"))


@dataclass(frozen=True)
class Range:
    """The true value, and the least and largest that may be computed; the ends can be infinite.

    The true value can lie outside, where it is rounded or underflows.
    """

    true: Any
    low: Any
    high: Any


class Format:
    """A float format as mpmath numbers."""

    def __init__(self, dtype: torch.dtype):
        info = torch.finfo(dtype)
        self.dtype = dtype
        self.digits = -round(math.log2(info.eps))
        self.tiny, self.largest = mp.mpf(info.tiny), mp.mpf(info.max)
        self.least_exponent = round(math.log2(info.tiny))

    def ulp(self, value: Any) -> Any:
        if mp.isinf(value):
            return mp.mpf(0)
        exponent = mp.frexp(value)[1] - 1 if value else self.least_exponent
        return mp.ldexp(1, max(exponent, self.least_exponent) - self.digits)

    def widened(self, low: Any, high: Any, ulps: Any, underflow: Any) -> tuple[Any, Any]:
        """By units in the last place and the absolute `underflow`, and to infinity on overflow.

        What is far below the smallest subnormal number is computed as 0.
        """
        if max(abs(low), abs(high)) < mp.ldexp(self.tiny, -self.digits - 2):
            return mp.mpf(0), mp.mpf(0)
        low = low - ulps * self.ulp(low) - underflow
        high = high + ulps * self.ulp(high) + underflow
        if high > self.largest:
            low, high = min(low, self.largest), _INFINITY
        if low < -self.largest:
            low, high = -_INFINITY, max(high, -self.largest)
        return low, high


def ranges_of(
    program: Program, point: Mapping[Expr, float], dtype: torch.dtype, ulps: int = _ULPS
) -> list[Range | None]:
    """Range of every output at the point; None where none can be given.

    That is so where the true value is undefined, or where it is undefined for something that an
    argument may be computed as: behind a pole, or an overflow that meets another or a zero.

    Args:
        point: value of each input and trainable parameter, a number of the dtype.
        dtype: of the computation, float32 or float64.
        ulps: what an operator itself may be off.
    """
    form = Format(dtype)
    slots: list[Range | None] = []
    for leaf in program.leaves:
        if isinstance(leaf, Constant):
            rounded = mp.mpf(torch.tensor(leaf.value, dtype=torch.float64).to(dtype).item())
            slots.append(Range(mp.mpf(leaf.value), rounded, rounded))
        else:
            value = mp.mpf(point[leaf])
            slots.append(Range(value, value, value))
    for instruction in program.instructions:
        arguments = [slots[a] for a in instruction.arguments]
        known = [a for a in arguments if a is not None]
        found = None
        if len(known) == len(arguments):
            found = _applied(instruction.operator.name, known, form, ulps)
        slots.append(found)
    return [slots[output] for output in program.outputs]


def _applied(name: str, arguments: Sequence[Range], form: Format, ulps: int) -> Range | None:
    meaning = MEANINGS[name]
    true = meaning(*(a.true for a in arguments))
    if mp.isnan(true):
        return None
    if name == "chain" and any(a.low == a.high == 0 for a in arguments):
        return Range(true, mp.mpf(0), mp.mpf(0))
    ends = []
    for a in arguments:
        low, high = a.low, a.high
        if name in _ROUNDED_ARGUMENT:
            by = _ROUNDED_ARGUMENT[name]
            low, high = low - by * form.ulp(low), high + by * form.ulp(high)
            if name in ("protected_log", "protected_div"):
                low, high = low - form.ulp(mp.mpf(1e-7)), high + form.ulp(mp.mpf(1e-7))
        if name == "asinh":
            # It adds its argument to itself.
            low = -_INFINITY if 2 * low < -form.largest else low
            high = _INFINITY if 2 * high > form.largest else high
        # Between the ends an operator has its extremum at 0, if anywhere.
        ends.append({low, high, *((mp.mpf(0),) if low < 0 < high else ())})
    if name in _TURNS and _width(arguments[0]) > 0.01:
        # The sine of an overflow is not a number.
        overflows = name in _UNDEFINED_AT_INFINITY and mp.isinf(_width(arguments[0]))
        return None if overflows else Range(true, *map(mp.mpf, _TURNS[name]))
    if name in ("div", "reciprocal") and len(ends[-1]) == 3:
        return None
    if name == "protected_div" and min(ends[1]) <= mp.mpf(-1e-7) <= max(ends[1]):
        return None
    values = [meaning(*corner) for corner in itertools.product(*ends)]
    if any(mp.isnan(v) for v in values):
        return None
    low, high = min(true, *values), max(true, *values)
    if mp.isinf(true):
        return Range(true, low, high)
    if name in _TURNS:
        bend = _width(arguments[0]) ** 2
        low, high = low - bend, high + bend
    if name in EXACT:
        return Range(true, low, high)
    underflow = form.tiny
    if name in _CANCELS:
        underflow = mp.mpf(1e-15) + form.tiny
    low, high = form.widened(low, high, _MORE_ULPS.get(name, ulps), underflow)
    if name in _EARLY_OVERFLOW:
        low = -_INFINITY if 2 * low < -form.largest else low
        high = _INFINITY if 2 * high > form.largest else high
    return Range(true, low, high)


def _width(argument: Range) -> Any:
    return max(argument.high, argument.true) - min(argument.low, argument.true)
