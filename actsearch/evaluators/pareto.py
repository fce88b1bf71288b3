"""Which of several points no other one beats in everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def front(points: Sequence[Sequence[Any]]) -> list[int]:
    """Indices of the points that no other point dominates, in rising order.

    A point dominates another one if it is nowhere below it and somewhere above it; equal points
    are on the front together.

    Args:
        points: of one length, each coordinate to be maximised; coordinates may be anything that
            is totally ordered, tuples too, but not NaN.
    """
    found: list[int] = []
    # What dominates a point is before it in this order, and is itself on the front or dominated
    # by a point of it, so that comparing with the front is enough.
    for i in sorted(range(len(points)), key=lambda i: tuple(points[i]), reverse=True):
        if not any(_dominates(points[j], points[i]) for j in found):
            found.append(i)
    return sorted(found)


def _dominates(point: Sequence[Any], other: Sequence[Any]) -> bool:
    return tuple(point) != tuple(other) and all(a >= b for a, b in zip(point, other, strict=True))
