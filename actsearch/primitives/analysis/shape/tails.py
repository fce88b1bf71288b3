"""What a function does far out: its limits, its lines, the largest it gets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..figure import Figure
from .curve import Curve, Points
from .pieces import Piece
from .polynomial import exact
from .record import INFINITE, MINUS_INFINITE, Asymptote

_WINDOWS = (1e2, 1e3, 1e4, 1e5)
_WIDTH, _SAMPLES = 20.0, 801


@dataclass(frozen=True)
class Tail:
    """A function towards one end.

    Args:
        limit: None if there is none.
        low, high: bounds of what it takes far out; infinite where there is none.
        oscillates: whether it does so for ever.
    """

    limit: Figure | None
    low: float
    high: float
    oscillates: bool


def tail_of(piece: Piece, side: int, order: int = 0) -> Tail:
    """The derivative of that order of an outermost piece, towards `side` times infinity."""
    polynomial = piece.curve.polynomial
    if polynomial is not None:
        for _ in range(order):
            polynomial = tuple(n * c for n, c in enumerate(polynomial))[1:]
        if len(polynomial) > 1:
            up = polynomial[-1] * side ** (len(polynomial) - 1) > 0
            figure = INFINITE if up else MINUS_INFINITE
        else:
            figure = exact(polynomial[0] if polynomial else Fraction(0))
        return Tail(figure, figure.value, figure.value, False)
    return _sampled(piece.curve, side, order)


def _sampled(curve: Curve, side: int, order: int) -> Tail:
    windows = [curve.at(side * (at + _window()), order) for at in _WINDOWS]
    finite = [w[~np.isnan(w)] for w in windows]
    finite = [w for w in finite if len(w)]
    if not finite:
        return Tail(None, math.nan, math.nan, False)
    last = finite[-1]
    if np.isinf(last).any():
        figure = INFINITE if (last[np.isinf(last)] > 0).all() else MINUS_INFINITE
        mixed = len(np.unique(np.sign(last[np.isinf(last)]))) > 1
        return (
            Tail(None, -math.inf, math.inf, True)
            if mixed
            else Tail(_unsure(figure), figure.value, figure.value, False)
        )
    if len(finite) == len(windows) and _oscillates(last, _cancelling(curve, order)):
        return _oscillating(finite)
    return _steady(curve, side, order)


def _unsure(figure: Figure) -> Figure:
    return Figure(figure.value, text=figure.text)


def _window() -> Points:
    # No multiple of a period that people write.
    return np.linspace(0, _WIDTH, _SAMPLES) + 0.123456789


def _cancelling(curve: Curve, order: int) -> float:
    """What cancels far out leaves rounding of the size that the function has near 0."""
    near = curve.at(np.array([-5.0, -1.0, 1.0, 5.0]), order)
    near = np.abs(near[np.isfinite(near)])
    return 1e-14 * min(float(near.max(initial=0.0)), 1e6)


def _oscillates(values: Points, rounding: float) -> bool:
    """Whether what is left of a line turns often, by more than rounding."""
    position = np.linspace(-1, 1, len(values))
    line = np.polyval(np.polyfit(position, values, 1), position)
    rest = values - line
    size = float(np.abs(rest).max())
    if size <= max(rounding, 1e-11 * float(np.abs(values).max()), 1e-290):
        return False
    turned = np.sign(np.where(np.abs(rest) > 0.05 * size, rest, 0))
    turned = turned[turned != 0]
    return int((turned[1:] != turned[:-1]).sum()) >= 4


def _oscillating(windows: list[Points]) -> Tail:
    lows, highs = [float(w.min()) for w in windows], [float(w.max()) for w in windows]
    spreads = [high - low for low, high in zip(lows, highs, strict=True)]
    middles = [float(np.median(w)) for w in windows]
    if spreads[-1] < 0.2 * spreads[-2] < 0.2 * spreads[-3]:
        error = max(spreads[-1], abs(middles[-1] - middles[-2]))
        limit = Figure(0.0 if abs(middles[-1]) < error else middles[-1], error=error)
        return Tail(limit, limit.value, limit.value, False)
    if lows[-1] > 1.5 * highs[-2] > 0 and lows[-2] > 1.5 * highs[-3]:
        return Tail(_unsure(INFINITE), math.inf, math.inf, True)
    if highs[-1] < 1.5 * lows[-2] < 0 and highs[-2] < 1.5 * lows[-3]:
        return Tail(_unsure(MINUS_INFINITE), -math.inf, -math.inf, True)
    growing = spreads[-1] > 1.5 * spreads[-2]
    low = -math.inf if growing and lows[-1] < lows[-2] < 0 else min(lows)
    high = math.inf if growing and highs[-1] > highs[-2] > 0 else max(highs)
    return Tail(None, low, high, True)


def _steady(curve: Curve, side: int, order: int) -> Tail:
    """Of a function that does not turn far out, from a geometric ladder of places."""
    places: Points = side * np.geomspace(1e1, 1e8, 8)
    values = curve.at(places, order)
    values = values[~np.isnan(values)]
    if len(values) < 4:
        return Tail(None, math.nan, math.nan, False)
    with np.errstate(invalid="ignore"):  # the difference of two infinities
        steps = np.diff(values)
    last = float(values[-1])
    growth = abs(float(steps[-1]))
    if not math.isfinite(last) or growth > 0.3 * max(abs(float(steps[-3])), 1e-300):
        rounding = 1e-13 * float(np.abs(values[-4:]).max()) + _cancelling(curve, order)
        if not math.isfinite(last) or growth > max(rounding, 1e-280):
            rises = last > 0 if not math.isfinite(last) else steps[-1] > 0
            figure = _unsure(INFINITE if rises else MINUS_INFINITE)
            return Tail(figure, figure.value, figure.value, False)
    # Values shrink like a power; at 1e8 most have arrived, and rounding grows from there.
    error = max(abs(last - float(values[-2])), 4e-16 * abs(last))
    if abs(last) <= error:
        last = 0.0
    return Tail(Figure(last, error=error), last, last, False)


def asymptote_of(piece: Piece, side: int) -> Asymptote | None:
    """The line that an outermost piece approaches; None if there is none."""
    polynomial = piece.curve.polynomial
    if polynomial is not None:
        if len(polynomial) > 2:
            return None
        zeros = (Fraction(0),) * 2
        constant, factor = (polynomial + zeros)[:2]
        return Asymptote(exact(factor), exact(constant))
    tail = tail_of(piece, side, 1)
    if tail.limit is None or not math.isfinite(tail.limit.value):
        return None
    level = tail_of(piece, side).limit
    if level is not None and math.isfinite(level.value):
        flat = Figure(0.0, error=max(abs(tail.limit.value), tail.limit.error))
        return Asymptote(flat, level)
    slope = _short(tail.limit)
    if slope.value == 0:
        return None
    x = side * np.array([1e2, 1e3, 1e4, 1e5])
    left = piece.curve.at(x) - slope.value * x
    _, second, third = (float(d) for d in np.diff(left))
    if not np.isfinite(left).all() or abs(third) > max(0.3 * abs(second), 1e-9):
        return None
    # What is left often shrinks like 1/x: then a ninth of the last step is still to come.
    ahead = third / 9 if abs(second) > 5 * abs(third) > 0 else 0.0
    value = float(left[-1]) + ahead
    error = max(abs(ahead), 1e-16 * 1e5 * max(1.0, abs(slope.value)))
    return Asymptote(slope, _short(Figure(0.0 if abs(value) <= error else value, error=error)))


def _short(figure: Figure) -> Figure:
    """Rounded to the nearest short number within the error."""
    for digits in range(0, 10):
        rounded = round(figure.value, digits)
        if abs(rounded - figure.value) <= max(figure.error, 1e-13 * abs(figure.value)):
            return Figure(rounded + 0.0, error=max(figure.error, abs(rounded - figure.value)))
    return figure
