"""Score against what it costs: every complete training, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from .plots import BASELINE, CANDIDATE, INCHES, QUIET, legend, picture, shortened

_LOOKS: Sequence[tuple[bool, bool, str, str, dict[str, Any]]] = (
    (False, False, "candidate", "o", {"color": QUIET, "alpha": 0.35, "ms": 3.5, "mew": 0}),
    (True, False, "known activation", "s", {"color": BASELINE, "mfc": "white", "ms": 5}),
    (False, True, "on the front", "o", {"color": CANDIDATE, "ms": 6}),
    (True, True, "known and on the front", "s", {"color": BASELINE, "ms": 6}),
)
"""(known, on the front, name in the legend, marker, other options of the marks)."""
_HEIGHT, _WIDTH_OF_AXES, _HEIGHT_OF_AXES = 4.0, 4.2, 2.8
_SIGN, _LINE, _ASIDE = 0.066, 0.13, 0.09
"""Inches: width of a sign and height of a line of names, and their distance from a mark."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class FrontPoint:
    """A complete training: its score, and the price of its formula in nodes or nanoseconds."""

    label: str
    price: float
    score: float
    known: bool
    on_front: bool

    @property
    def named(self) -> bool:
        """Whether the picture gives its label."""
        return self.known or self.on_front


@picture
def front_picture(points: Sequence[FrontPoint], price: str, *, logarithmic: bool) -> Figure:
    """Score against price, and the best score at each price or below as a line.

    Args:
        points: complete trainings, at least one.
        price: name of the axis.
        logarithmic: whether prices may span decades.
    """
    figure = Figure((INCHES, _HEIGHT))
    axes = figure.add_subplot()
    top, floor = max(point.score for point in points), _floor(points)
    margin = 0.07 * (top - floor) or 0.01
    edge = floor - 0.6 * margin
    axes.set_ylim(floor - margin, top + 1.6 * margin)
    ordered = sorted(points, key=lambda point: point.price)
    least, most = ordered[0].price, ordered[-1].price
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}" if most < 15 * least else NullFormatter())
        axes.set_xlim(least / 1.15, most * 1.3)
    else:
        axes.locator_params("x", integer=True)
        axes.set_xlim(least - 0.7, most + 0.7)
    best = np.maximum.accumulate([point.score for point in ordered])
    ends = [*(point.price for point in ordered), axes.get_xlim()[1]]
    label = "best at that price or below"
    axes.step(ends, [*best, best[-1]], where="post", color=CANDIDATE, lw=1.3, label=label)
    for known, on_front, name, marker, look in _LOOKS:
        drawn = [point for point in points if (point.known, point.on_front) == (known, on_front)]
        inside = [(point.price, point.score) for point in drawn if point.score >= floor]
        below = [point.price for point in drawn if point.score < floor and point.named]
        if inside:
            axes.plot(*zip(*inside, strict=True), marker, label=name, **look)
        if below:
            axes.plot(below, [edge] * len(below), "v", label=f"{name}, below", **look)
    _name_points(axes, [point for point in points if point.named], edge)
    axes.set_xlabel(price)
    axes.set_ylabel("score of a complete training")
    legend(axes, 2)
    return figure


def _floor(points: Sequence[FrontPoint]) -> float:
    """Lowest score drawn to scale: where the upper two thirds of the named points are, and half
    as much again. Most candidates are far below, and would flatten them."""
    third, top = np.quantile([point.score for point in points if point.named], [1 / 3, 1])
    return float(max(third - 0.5 * (top - third), min(point.score for point in points)))


def _name_points(axes: Axes, points: Sequence[FrontPoint], edge: float) -> None:
    """Names beside their marks, the highest first, each at the first place that is free; a name
    without one is left out."""
    to_inches = axes.transScale + axes.transLimits
    size = np.array([_WIDTH_OF_AXES, _HEIGHT_OF_AXES])
    ordered = sorted(points, key=lambda point: -point.score)
    marks = [(point.price, max(point.score, edge)) for point in ordered]
    inches = [size * to_inches.transform(mark) for mark in marks]
    half = _LINE / 2
    taken = [(x - half, x + half, y - half, y + half) for x, y in inches]
    for point, mark, (x, y) in zip(ordered, marks, inches, strict=True):
        text = shortened(point.label, 16)
        for right, lines in product((True, False), (0, 1, -1, 2, -2, 3, -3, 4)):
            start = x + _ASIDE if right else x - _ASIDE - _SIGN * len(text)
            middle = y + _LINE * lines
            box = (start, start + _SIGN * len(text), middle - half, middle + half)
            # The line leaves a mark of the front to the right.
            if (point.on_front and lines == 0) or not _free(box, taken):
                continue
            taken.append(box)
            axes.annotate(
                text,
                mark,
                (72 * (_ASIDE if right else -_ASIDE), 72 * _LINE * lines),
                textcoords="offset points",
                color=BASELINE if point.known else CANDIDATE,
                ha="left" if right else "right",
                va="center",
                fontsize=8,
            )
            break


def _free(box: Box, taken: Sequence[Box]) -> bool:
    left, right, bottom, top = box
    inside = left >= 0 and right <= _WIDTH_OF_AXES and bottom >= 0 and top <= _HEIGHT_OF_AXES
    return inside and not any(
        left < other[1] and other[0] < right and bottom < other[3] and other[2] < top
        for other in taken
    )
