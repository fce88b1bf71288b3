"""The few functions that every language of kernels has of its own, here for numpy.

`kernel_functions` is written with these alone, so its functions also run on float32 arrays; that
is slow, and meant for tests.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Float: TypeAlias = Any
"""A float32 number, or many."""
Int: TypeAlias = Any
"""A 32-bit integer, or many; sums and shifts to the left wrap around."""
Truth: TypeAlias = Any
"""The result of a comparison."""


def where(condition: Truth, x: Float, y: Float) -> Float:
    """x where the condition holds, else y."""
    return np.where(condition, np.float32(x), np.float32(y))


def absolute(x: Float) -> Float:
    """|x|."""
    return np.abs(x)


def maximum(x: Float, y: Float) -> Float:
    """The larger of x and y, NaN if either is."""
    return np.maximum(x, y)


def minimum(x: Float, y: Float) -> Float:
    """The smaller of x and y, NaN if either is."""
    return np.minimum(x, y)


def square_root(x: Float) -> Float:
    """The square root, NaN below 0."""
    return np.sqrt(x)


def floor(x: Float) -> Float:
    """The largest whole number up to x."""
    return np.floor(x)


def copy_sign(x: Float, y: Float) -> Float:
    """|x| with the sign of y."""
    return np.copysign(x, y)


def as_int(x: Float) -> Int:
    """The integer of the same bits."""
    return np.asarray(x, np.float32).view(np.int32)


def as_float(i: Int) -> Float:
    """The float32 number of the same bits."""
    return np.asarray(i, np.int32).view(np.float32)


def to_float(i: Int) -> Float:
    """The float32 number nearest to a signed integer."""
    return np.asarray(i).astype(np.float32)
