"""Which of several points no other one beats in everything."""

from __future__ import annotations

from collections.abc import Sequence
from operator import ge
from typing import Any


def front(points: Sequence[Sequence[Any]]) -> list[int]:
    """Indices of the points that no other point dominates, in rising order.

    A point dominates another one if it is nowhere below it and somewhere above it; equal points
    are on the front together.

    Args:
        points: of one length, each coordinate to be maximised; coordinates may be anything that
            is totally ordered, tuples too, but not NaN.
    """
    rows = [tuple(point) for point in points]
    found: list[int] = []
    # What dominates a point is before it in this order, and is itself on the front or dominated
    # by a point of it, so that comparing with the front is enough.
    for i in sorted(range(len(rows)), key=rows.__getitem__, reverse=True):
        if not any(_dominates(rows[j], rows[i]) for j in found):
            found.append(i)
    return sorted(found)


def _dominates(point: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return point != other and all(map(ge, point, other))
