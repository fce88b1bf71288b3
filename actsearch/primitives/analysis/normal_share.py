"""How likely f(z), z ~ N(0, 1), is near 0."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from ..expr import Expr
from .figure import Figure
from .pointwise import Array, value_and_slope

_REACH = 9.0
_POINTS = 8191
_HALVINGS = 52


def share_near_zero(expr: Expr, threshold: float, *, of_slope: bool = False) -> Figure | None:
    """The probability that |f(z)| is at most the threshold, or |f'(z)|.

    It is P(f <= threshold) - P(f < -threshold). The borders of each are found on a grid in
    [-9, 9], where only a change of side between two points of the grid counts, and then to the
    last digit. The error is the difference to a grid half as fine.

    Args:
        expr: of x, without trainable parameters.
        threshold: 0 for exact zeros in float64.

    Returns:
        None where f, or f', is not a number somewhere.
    """
    which = 1 if of_slope else 0

    def read(x: Array) -> Array:
        return value_and_slope(expr, x)[which]

    grid = np.linspace(-_REACH, _REACH, _POINTS)
    values = read(grid)
    if np.isnan(values).any():
        return None
    # Borders of f <= threshold and of f < -threshold, on each grid, found together.
    found = [
        _Borders(grid[::stride], _passed(values[::stride], threshold, below), below)
        for stride in (2, 1)
        for below in (False, True)
    ]
    low, high, before, below = (
        np.concatenate([getattr(borders, name) for borders in found])
        for name in ("low", "high", "before", "sides")
    )
    for _ in range(_HALVINGS if len(low) else 0):
        middle = (low + high) / 2
        same = _passed(read(middle), threshold, below) == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    places = np.split((low + high) / 2, np.cumsum([len(borders.low) for borders in found])[:-1])
    shares = [borders.share(ends) for borders, ends in zip(found, places, strict=True)]
    coarse, fine = shares[0] - shares[1], shares[2] - shares[3]
    error = abs(fine - coarse) + 4 * float(np.finfo(np.float64).eps)
    return Figure(min(1.0, max(0.0, fine)), error=error)


def _passed(values: Array, threshold: float, below: bool | np.ndarray) -> np.ndarray:
    return np.where(below, values < -threshold, values <= threshold)


class _Borders:
    """Where a test of the values on a grid changes from passed to failed or back."""

    def __init__(self, grid: Array, passed: np.ndarray, below: bool) -> None:
        turns = np.flatnonzero(passed[1:] != passed[:-1])
        self.low, self.high = grid[turns], grid[turns + 1]
        self.before = passed[turns]
        self.sides = np.full(len(turns), below)
        self._last = passed[-1]

    def share(self, places: Array) -> float:
        """The probability of all that is passed, the borders being there."""
        ends = ndtr(np.concatenate([[-np.inf], places, [np.inf]]))
        return float(np.diff(ends) @ np.append(self.before, self._last))
