"""A function as a vector, such that functions that train alike are near one another.

The vector is of the function after the init gain and in one orientation: f(x), -f(x), f(-x) and
-f(-x) have the same, because initial weights before and after it are symmetric about 0. What the
gain divides out is a feature of its own, for the learning rate does not follow it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from ..primitives import Expr, inputs, value_and_slopes
from ..primitives.spaces import Space
from .layer_screens import layer_features

SCALE_WEIGHT, FAR_WEIGHT = 0.5, 0.2
"""Of the two scales and of values far out, beside 1 for values and slopes."""

# Half width and points of the near grid along an axis, by number of inputs. None of them is 0,
# where slopes may be infinite.
_NEAR = {1: (5.0, 40), 2: (4.0, 12)}
_FAR = (-9.0, -4.5, 4.5, 9.0)


@dataclass(frozen=True)
class _Turn:
    """One of the functions f(x), -f(x), f(-x), -f(-x): the order of points, and signs of parts."""

    near: np.ndarray
    far: np.ndarray
    signs: np.ndarray


@dataclass(frozen=True)
class _Grid:
    """Near points with their normal density and then far points, flat; reference: of the near."""

    bindings: dict[str, Tensor]
    density: np.ndarray
    reference: np.ndarray
    turns: tuple[_Turn, ...]


@lru_cache(maxsize=20_000)
def function_features(expr: Expr, names: tuple[str, ...] = ("x",)) -> np.ndarray:
    """Values, slopes and scales of the expression under standard normal inputs.

    The distance of two functions is a root mean square under the normal density; slopes and far
    values are compressed by asinh. Trainable parameters are at their initial values.

    Args:
        expr: reads none but `names`.
        names: the inputs, one or two.

    Returns:
        float64, read-only, of a length that depends on the number of inputs alone; NaN where the
        function or a slope is not finite, or either is zero everywhere.
    """
    grid = _grid(names)
    value, found = value_and_slopes(expr, grid.bindings)
    slopes = dict(zip(inputs(expr), found, strict=True))
    zero = torch.zeros_like(value)
    parts = torch.stack([value, *(slopes.get(name, zero) for name in names)]).numpy()
    near, far = np.split(parts, [grid.density.size], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        second, *slope_seconds = near**2 @ grid.density
        slope_second = sum(slope_seconds)
        scales = np.array([second, slope_second / second if second > 0 else 0.0])
    if not np.isfinite(parts).all() or not np.isfinite(scales).all() or scales.min() <= 0:
        vector = np.full(near.size + far.shape[1] + 2, math.nan)
    else:
        weighted = grid.density * grid.reference
        turn = max(grid.turns, key=lambda turn: turn.signs[0, 0] * weighted @ near[0][turn.near])
        near = near[:, turn.near] * turn.signs / math.sqrt(second)
        far = far[:1, turn.far] * turn.signs[:1] / math.sqrt(second)
        root = np.sqrt(grid.density)
        vector = np.concatenate(
            [
                near[0] * root,
                (np.arcsinh(near[1:]) * root).ravel(),
                FAR_WEIGHT * np.arcsinh(far[0]),
                SCALE_WEIGHT * np.log(scales),
            ]
        )
    vector.flags.writeable = False
    return vector


def candidate_features(expr: Expr, space: Space) -> np.ndarray:
    """Features of a candidate of the space, or of a known activation beside it.

    Returns:
        As of `function_features`, or of `layer_features` if the space is of layers.
    """
    if space.replaces_norm:
        return layer_features(expr)
    return function_features(expr, space.inputs)


@cache
def _grid(names: tuple[str, ...]) -> _Grid:
    half, count = _NEAR[len(names)]
    near = _mesh(np.linspace(-half, half, count), len(names))
    far = _mesh(np.array(_FAR), len(names))
    density = np.exp(-(near**2).sum(axis=0) / 2)
    points = torch.from_numpy(np.concatenate([near, far], axis=1))
    turns = tuple(
        _Turn(
            _flipped(count, mirrored),
            _flipped(len(_FAR), mirrored),
            sign * np.array([[1.0], *([-1.0 if flipped else 1.0] for flipped in mirrored)]),
        )
        for sign in (1.0, -1.0)
        for mirrored in product((False, True), repeat=len(names))
    )
    return _Grid(
        bindings=dict(zip(names, points, strict=True)),
        density=density / density.sum(),
        reference=np.prod(1 + near, axis=0),
        turns=turns,
    )


def _mesh(axis: np.ndarray, dimensions: int) -> np.ndarray:
    """Coordinates (dimensions, points) of the grid with that axis along each dimension."""
    return np.stack([part.ravel() for part in np.meshgrid(*[axis] * dimensions, indexing="ij")])


def _flipped(count: int, mirrored: tuple[bool, ...]) -> np.ndarray:
    """Numbers of the points of a flat grid, mirrored along some of its axes."""
    numbers = np.arange(count ** len(mirrored)).reshape([count] * len(mirrored))
    axes = tuple(axis for axis, flipped in enumerate(mirrored) if flipped)
    return np.flip(numbers, axes).ravel()
