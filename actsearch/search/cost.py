"""Costs as the commands show them, and the table of costs that a search weighs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from ..errors import ConfigError
from ..evaluators.cost import OWN, Cost, measure_cost, measure_function
from ..evaluators.cost_model import ENTRIES, measure_operators
from ..evaluators.surroundings import one_thread
from ..primitives import infix, parse, read_formula
from ..primitives.operators import did_you_mean
from .config import Config
from .evaluation import dtype_named

_COPY = "a plain copy"
_REFERENCES: Mapping[str, Callable[..., torch.Tensor]] = {
    "torch relu": functional.relu,
    "torch gelu": functional.gelu,
}


def cost_report(formulas: Sequence[str], dtype: str, elements: int, device: str) -> dict[str, Any]:
    """A row for a plain copy, for torch's own relu and gelu, and for each formula; JSON-ready.

    Args:
        formulas: formulas or known activations' names.
        dtype: one of `DTYPES`.
        elements: of each tensor.
        device: cpu or cuda.

    Raises:
        ParseError, ConfigError: one of them cannot be read, or is not possible on this machine.
    """
    exprs = [read_formula(text) for text in formulas]
    settings: dict[str, Any] = {
        "device": device,
        "dtype": dtype_named(dtype),
        "elements": elements,
    }
    measured = [
        (text.strip(), infix(expr), expr.text, measure_cost(expr, **settings))
        for text, expr in zip(formulas, exprs, strict=True)
    ]
    references = [
        (name, None, None, measure_function(function, **settings))
        for name, function in _REFERENCES.items()
    ]
    rows = [
        {"name": name, "formula": formula, "canonical": canonical, **cost.to_dict()}
        for name, formula, canonical, cost in (*references, *measured)
    ]
    return {
        **_machine(device),
        "dtype": dtype,
        "elements": measured[0][3].elements,
        "rows": [_copy_row([cost for *_, cost in (*references, *measured)]), *rows],
    }


def add_costs(board: dict[str, Any], device: str) -> dict[str, Any]:
    """The leaderboard with a `cost` in each row, measured now: nanoseconds per element, forward
    and backward, and how many times relu's that is. One thread of a CPU, as a worker has."""
    with one_thread():
        return _with_costs_of_rows(board, device)


def _with_costs_of_rows(board: dict[str, Any], device: str) -> dict[str, Any]:
    relu = measure_cost(read_formula("relu"), device=device).ns
    found: dict[str, float] = {}

    def priced(row: dict[str, Any]) -> dict[str, Any]:
        text = row["canonical"]
        if text not in found:
            found[text] = measure_cost(parse(text), device=device).ns
        return {**row, "cost": {"ns": found[text], "of_relu": found[text] / relu}}

    return {
        **board,
        "measured_on": _machine(device),
        "candidates": [priced(row) for row in board["candidates"]],
        "baselines": [priced(row) for row in board["baselines"]],
    }


def device_here(device: str | None) -> str:
    """The device that a run trained on, or the CPU where this machine has no such one."""
    return "cuda" if device == "cuda" and torch.cuda.is_available() else "cpu"


def with_costs(config: Config, device: str) -> Config:
    """The configuration with the operators' costs, if it weighs them and has none yet.

    Raises:
        ConfigError: the table that it has lacks an entry or has an unknown one, or the device is
            not there.
    """
    if not config.models_cost:
        return config
    if not config.costs:
        return replace(config, costs=measure_operators(device))
    for name in config.costs:
        if name not in ENTRIES:
            raise ConfigError(f"unknown setting 'costs.{name}'{did_you_mean(name, ENTRIES)}")
    for name in ENTRIES:
        if name not in config.costs:
            raise ConfigError(
                f"table [costs] has no entry '{name}'; remove the table, and it is measured"
            )
    return config


def _machine(device: str) -> dict[str, Any]:
    cuda = device != "cpu"
    return {
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if cuda else None,
        "threads": None if cuda else torch.get_num_threads(),
    }


def _copy_row(costs: Sequence[Cost]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("formula", "canonical", *costs[0].to_dict()))
    copy_ns = statistics.median(cost.copy_ns for cost in costs)
    return {
        **row,
        "name": _COPY,
        "backend": OWN,
        "elements": costs[0].elements,
        "forward_ns": copy_ns,
        "forward_bytes": costs[0].copy_bytes,
        "forward_share": 1.0,
    }
