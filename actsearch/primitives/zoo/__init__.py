"""Known activations and layers: a name, a formula, where it comes from.

The lists are `activations.toml`, and `layers.toml` for those that normalise too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ..expr import Expr, inputs
from ..moments import reads_batch
from ..parse import parse


@dataclass(frozen=True)
class KnownActivation:
    """One row of the zoo; `baseline` marks those that searches are compared with."""

    name: str
    expr: Expr
    source: str
    aliases: tuple[str, ...] = ()
    baseline: bool = False


@cache
def known_activations() -> dict[str, KnownActivation]:
    """Every known activation by its name, in the order of the list."""
    known: dict[str, KnownActivation] = {}
    for row in _rows("activation"):
        known[row["name"]] = _made(row, _functions(known.values()))
    return known


@cache
def known_layers() -> dict[str, KnownActivation]:
    """Every known layer, an activation that takes the place of a normalisation too, by its name."""
    functions = _functions(known_activations().values())
    return {row["name"]: _made(row, functions) for row in _rows("layer")}


def known_functions() -> dict[str, KnownActivation]:
    """All that has a name: the known activations, then the known layers."""
    return {**known_activations(), **known_layers()}


def baselines(
    names: tuple[str, ...] = ("x",), *, replaces_norm: bool = False, batch_statistics: bool = True
) -> list[KnownActivation]:
    """Those that a search is compared with: of its own inputs, and then those of x.

    Args:
        names: of the inputs that the candidates of the search read.
        replaces_norm: whether its candidates take the place of a normalisation; then the baselines
            are layers.
        batch_statistics: whether a layer may mix the examples of a batch.
    """
    known = known_layers() if replaces_norm else known_activations()
    marked = [
        row
        for row in known.values()
        if row.baseline and (batch_statistics or not reads_batch(row.expr))
    ]
    kinds = dict.fromkeys((names, ("x",)))
    return [row for kind in kinds for row in marked if inputs(row.expr) == kind]


def read_formula(text: str) -> Expr:
    """A formula, in which known activations and layers may be called, or the bare name of one.

    Raises:
        ParseError: as of `parse`.
    """
    names = _by_any_name()
    if text.strip() in names:
        return names[text.strip()]
    return parse(text, _callable())


@cache
def _by_any_name() -> dict[str, Expr]:
    return {
        name: known.expr
        for known in known_functions().values()
        for name in (known.name, *known.aliases)
    }


@cache
def _callable() -> dict[str, Expr]:
    return _functions(known_functions().values())


def _rows(kind: str) -> list[dict[str, Any]]:
    file = {"activation": "activations.toml", "layer": "layers.toml"}[kind]
    rows: list[dict[str, Any]] = tomllib.loads(
        files(__package__).joinpath(file).read_text("utf-8")
    )[kind]
    return rows


def _made(row: Mapping[str, Any], functions: Mapping[str, Expr]) -> KnownActivation:
    return KnownActivation(
        row["name"],
        parse(row["formula"], functions),
        row["source"],
        tuple(row.get("aliases", ())),
        row.get("baseline", False),
    )


def _functions(known: Iterable[KnownActivation]) -> dict[str, Expr]:
    """What a formula may call, by any of its names."""
    return {
        name: row.expr
        for row in known
        if inputs(row.expr) == ("x",)
        for name in (row.name, *row.aliases)
    }
