"""What is found of a function of one input."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

from ..figure import Figure

Monotone = Literal["increasing", "non-decreasing", "decreasing", "non-increasing"]
Convexity = Literal["convex", "concave", "affine"]
Parity = Literal["odd", "even"]
OperatorClass = Literal["comparisons", "polynomial", "rational", "algebraic", "transcendental"]
Kind = Literal["piecewise linear", "polynomial", "analytic", "other"]


@dataclass(frozen=True)
class Range:
    """Smallest and largest value, or what they tend to where they are not attained."""

    low: Figure
    high: Figure
    low_attained: bool
    high_attained: bool


@dataclass(frozen=True)
class Asymptote:
    """The line that the function approaches at one end; of slope 0 where it levels off."""

    slope: Figure
    intercept: Figure


@dataclass(frozen=True)
class Extremum:
    """A strict local extremum; stretches on which the function is constant are not listed."""

    at: Figure
    value: Figure
    kind: Literal["minimum", "maximum"]


@dataclass(frozen=True)
class Kink:
    """A place where the function is not smooth.

    Args:
        kind: `jump` of the value, `pole`, `edge` of the domain, `cusp` (an infinite slope), `kink`
            of the slope, or `C1`, `C2`, ... where that many derivatives go on.
        left: slope on the left; the value there if the kind is a jump, a pole or an edge, NaN
            where the function is not defined.
        right: as `left`, on the right.
        used: the slope that the engine's own derivative has at this place.
    """

    at: Figure
    kind: str
    left: Figure
    right: Figure
    used: float


@dataclass(frozen=True)
class Shape:
    """The shape of f; trainable parameters are at their initial values.

    Args:
        range: of the values on the whole line.
        limits: at -inf and +inf; infinite where f is unbounded, None where it has no limit.
        asymptotes: at -inf and +inf, where there is one.
        monotone: the strict word where no stretch is constant; None if f is not monotone.
        convexity: None if f has none.
        parity: None if f has none.
        zeros: isolated ones.
        zero_intervals: ends of the stretches on which f is 0.
        extrema: strict local ones.
        inflections: where the curvature changes its sign and f has a slope.
        kinks: see `Kink`.
        smoothness: -1 with jumps, else the number of continuous derivatives; None if all are.
        lipschitz: smallest Lipschitz constant of f, infinite where there is none.
        slope_lipschitz: that of f'.
        inverse: a formula of y with its domain, where f is strictly monotone and one was found.
        latex: of the formula as it was written.
        operator_class: the least class that computes it.
        kind: `piecewise linear` has constants too.
        truncated: f oscillates or has very many steps; zeros, extrema, inflections and kinks are
            at most 24 of each, the nearest to 0, in [-20, 20].
    """

    range: Range
    limits: tuple[Figure | None, Figure | None]
    asymptotes: tuple[Asymptote | None, Asymptote | None]
    monotone: Monotone | None
    convexity: Convexity | None
    parity: Parity | None
    zeros: tuple[Figure, ...]
    zero_intervals: tuple[tuple[Figure, Figure], ...]
    extrema: tuple[Extremum, ...]
    inflections: tuple[Figure, ...]
    kinks: tuple[Kink, ...]
    smoothness: int | None
    lipschitz: Figure
    slope_lipschitz: Figure
    inverse: str | None
    latex: str
    operator_class: OperatorClass
    kind: Kind
    truncated: bool


INFINITE = Figure(math.inf, True, 0.0, "oo")
MINUS_INFINITE = Figure(-math.inf, True, 0.0, "-oo")
ZERO = Figure(0.0, True, 0.0, "0")
_LONGEST_TEXT = 48


def readable(part: Any) -> Any:
    """A shape, or a part of one, without closed forms that are too long to read."""
    if isinstance(part, Figure):
        return replace(part, text="") if len(part.text) > _LONGEST_TEXT else part
    if isinstance(part, tuple):
        return tuple(readable(p) for p in part)
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{f.name: readable(getattr(part, f.name)) for f in fields(part)})
    return part
