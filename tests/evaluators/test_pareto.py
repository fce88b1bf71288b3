"""The Pareto front, against its definition."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actsearch.evaluators.pareto import front

# Few different values, so that ties and equal points are common.
coordinates = st.integers(0, 3)
points = st.integers(1, 4).flatmap(
    lambda length: st.lists(st.tuples(*[coordinates] * length), max_size=30)
)
standings = st.tuples(st.integers(1, 2), st.sampled_from([0.25, 0.5, 0.75]))


def front_by_definition(points: list[Any]) -> list[int]:
    return [
        i
        for i, point in enumerate(points)
        if not any(
            all(a >= b for a, b in zip(other, point, strict=True))
            and any(a > b for a, b in zip(other, point, strict=True))
            for other in points
        )
    ]


@given(points)
def test_the_front_is_what_no_point_dominates(points: list[tuple[int, ...]]) -> None:
    assert front(points) == front_by_definition(points)


@given(st.lists(st.tuples(standings, coordinates), max_size=20))
def test_coordinates_may_be_tuples(points: list[Any]) -> None:
    assert front(points) == front_by_definition(points)


def test_a_front_by_hand() -> None:
    assert front([]) == []
    assert front([(1, 1)]) == [0]
    # The first is below the third; the second and the last are the same and as good as any.
    assert front([(2, 1), (0, 5), (3, 1), (1, 2), (0, 5)]) == [1, 2, 3, 4]
    # A tie in one coordinate does not save what is below in the other.
    assert front([(1, 3), (1, 4), (0, 4)]) == [1]
