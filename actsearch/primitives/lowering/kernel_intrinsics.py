"""What the kernel functions are made of: the operations that every language has.

Here they are numpy's, on float32 and int32 arrays, so that the functions can be run and read as
Python too; `kernel_languages` knows the same names in Triton and C++.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Value = Any
"""A float32 number or array (or int32 or bool, where a function says so)."""


def where(condition: Value, one: Value, other: Value) -> Value:
    """One where the condition holds, else the other; both are computed."""
    return np.where(condition, *map(_float, (one, other)))


def larger(x: Value, y: Value) -> Value:
    """The larger; NaN if either is NaN."""
    return np.maximum(_float(x), _float(y))


def smaller(x: Value, y: Value) -> Value:
    """The smaller; NaN if either is NaN."""
    return np.minimum(_float(x), _float(y))


def magnitude(x: Value) -> Value:
    return np.abs(x)


def root(x: Value) -> Value:
    """Square root, correctly rounded; NaN below 0."""
    return np.sqrt(x)


def floor(x: Value) -> Value:
    return np.floor(x)


def fma(x: Value, y: Value, z: Value) -> Value:
    """x * y + z with one rounding (here two in rare cases: the product is exact in float64)."""
    return (np.float64(x) * np.float64(y) + np.float64(z)).astype(np.float32)


def as_int(x: Value) -> Value:
    """The bits of a float32 as an int32."""
    return np.asarray(x, np.float32).view(np.int32)


def as_float(i: Value) -> Value:
    """The float32 of these bits."""
    return np.asarray(i).astype(np.int32).view(np.float32)


def to_int(x: Value) -> Value:
    """The whole number that x is, as an int32; any if x is NaN or too large."""
    return np.nan_to_num(x).astype(np.int32)


def to_float(i: Value) -> Value:
    return np.asarray(i).astype(np.float32)


def _float(x: Value) -> Value:
    return np.float32(x) if isinstance(x, float) else x
