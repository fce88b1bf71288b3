"""Value and slope of a formula at points that the user types."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..errors import ConfigError
from ..primitives import infix, inputs, layer_words, read_formula, value_and_slopes

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_POINTS = {1: "-2,-1,-0.5,0,0.5,1,2", 2: "-2:1,-1:1,0:1,1:1,2:1,1:-2"}


def evaluate_at(formula: str, points: str, dtype: str) -> dict[str, Any]:
    """Canonical text, and a row of value and slopes for each point; JSON-ready.

    Args:
        formula: a formula or a known activation's name.
        points: numbers with commas between them; with two inputs, pairs as 1:2. Empty for some
            around 0.
        dtype: one of `DTYPES`.

    Raises:
        ParseError, ConfigError: one of the three cannot be read.
    """
    expr = read_formula(formula)
    if words := layer_words(expr):
        raise ConfigError(
            f"'{formula}' has words such as {words[0]}, which depend on a whole tensor; "
            "it has no value at a point"
        )
    wanted = dtype_named(dtype)
    names = inputs(expr) or ("x",)
    points = points or _POINTS.get(len(names), "0")
    rows = [_numbers(part, names) for part in points.split(",")]
    columns = torch.tensor(rows, dtype=torch.float64).to(wanted)
    bindings = {name: columns[:, i] for i, name in enumerate(names)}
    value, slopes = value_and_slopes(expr, bindings)
    shown = dict(bindings)
    shown["f"] = value
    slope_names = ["f'"] if names == ("x",) else [f"df/d{name}" for name in names]
    for name, slope in zip(slope_names, slopes or [torch.zeros_like(value)], strict=True):
        shown[name] = slope
    return {
        "canonical": str(expr),
        "formula": infix(expr),
        "dtype": dtype,
        "columns": list(shown),
        "points": [
            {name: float(column[row]) for name, column in shown.items()} for row in range(len(rows))
        ],
    }


def dtype_named(name: str) -> torch.dtype:
    """One of `DTYPES`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in DTYPES:
        raise ConfigError(f"unknown dtype '{name}'; there are {', '.join(DTYPES)}")
    return DTYPES[name]


def _numbers(text: str, names: tuple[str, ...]) -> list[float]:
    parts = text.split(":")
    if len(parts) != len(names):
        raise ConfigError(
            f"--at point '{text.strip()}' must have {len(names)} number"
            f"{'s, one for each of ' + ' and '.join(names) + ', as 1:2' if len(names) > 1 else ''}"
        )
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise ConfigError(
            f"--at point '{text.strip()}' is not a number; write for example --at -1,0,2.5"
        )
    return numbers
