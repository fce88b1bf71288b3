"""The rows of the zoo, read from its files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from ...errors import ParseError
from ..expr import Expr
from ..named_function import NamedFunction
from ..parse import parse

SECTIONS = {
    "bounded": "bounded and sigmoid-like",
    "rectifiers": "rectifiers and piecewise",
    "exponential_linear": "exponential-linear",
    "self_gated": "smooth self-gated",
    "periodic": "periodic, polynomial and rational",
    "trainable": "with trainable parameters",
    "gated": "gates of two inputs",
    "surrogate_gradients": "another slope than that of the value",
    "bases": "trainable bases",
    "layers": "normalisation and activation in one",
    "vector": "of a whole vector or channel",
    "stochastic": "random in training",
}
"""What each file holds, in the order in which they are read; a formula may call what stands above
it in its own file, and everything in the files before."""

_INPUTS = ("x", "u", "v")
_KEYS = {
    *("name", "aliases", "formula", "parameters", "default", "source", "kinks", "smoothness"),
    *("checked", "unverified", "note", "baseline"),
}


@dataclass(frozen=True)
class KnownActivation:
    """One row of the zoo.

    Args:
        name: an identifier.
        expr: the function where no parameter is changed.
        source: paper or code.
        aliases: other identifiers for the same function.
        baseline: whether searches are compared with it.
        section: a key of `SECTIONS`.
        formula: as it is written in the file.
        parameters: values of the fixed parameters where a call gives none; those that are trained
            stand in the formula.
        kinks: points where value or slope jump, or the slope has a corner.
        smoothness: -1 if the value jumps, 0 if the slope does, k if the derivatives up to k are
            continuous and the next is not; None if all are.
        checked: against what the formula was compared: T torch, H transformers, M timm, K keras,
            J jax, A an author's code, L a survey library, I an identity; or "from memory".
        unverified: what is doubtful; empty if nothing is.
        note: for people.
        function: what a call means.
    """

    name: str
    expr: Expr
    source: str
    aliases: tuple[str, ...] = ()
    baseline: bool = False
    section: str = ""
    formula: str = ""
    parameters: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    kinks: tuple[float, ...] = ()
    smoothness: int | None = None
    checked: str = ""
    unverified: str = ""
    note: str = ""
    function: NamedFunction = field(default_factory=lambda: NamedFunction(parse("x")), repr=False)


@cache
def rows(kind: str) -> dict[str, KnownActivation]:
    """All rows of one kind, `activation`, `layer` or `tensor`, by name, in the order of the files.

    Raises:
        ValueError: a row is wrong; the message names file, row and fault.
    """
    return {row.name: row for row in _all() if (row.section, row.name) in _of_kind(kind)}


@cache
def functions() -> dict[str, NamedFunction]:
    """What a formula may call, by any of its names."""
    return {name: row.function for row in _all() for name in (row.name, *row.aliases)}


@cache
def _of_kind(kind: str) -> frozenset[tuple[str, str]]:
    return frozenset((section, row["name"]) for found, section, row in _written() if found == kind)


@cache
def _all() -> tuple[KnownActivation, ...]:
    known: dict[str, NamedFunction] = {}
    made = []
    for _, section, row in _written():
        activation = _made(section, row, known)
        for name in (activation.name, *activation.aliases):
            if name in known:
                raise ValueError(f"zoo/{section}.toml: '{name}' is the name of two rows")
            known[name] = activation.function
        made.append(activation)
    return tuple(made)


@cache
def _written() -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
    return tuple(_read())


def _read() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for section in SECTIONS:
        text = files(__package__).joinpath(f"{section}.toml").read_text("utf-8")
        for kind, listed in tomllib.loads(text).items():
            for row in listed:
                yield kind, section, row


def _made(
    section: str, row: Mapping[str, Any], known: Mapping[str, NamedFunction]
) -> KnownActivation:
    where = f"zoo/{section}.toml: '{row.get('name', 'a row without a name')}'"
    unknown = sorted(row.keys() - _KEYS)
    if unknown:
        raise ValueError(f"{where} has the unknown key '{unknown[0]}'")
    fixed = MappingProxyType({name: float(v) for name, v in row.get("parameters", {}).items()})
    try:
        body = parse(row["formula"], known, (*_INPUTS, *fixed))
        shorter = parse(row["default"], known) if "default" in row else None
    except ParseError as error:
        raise ValueError(f"{where}: {error}") from error
    function = NamedFunction(body, fixed, shorter)
    return KnownActivation(
        name=row["name"],
        expr=function.default,
        source=row["source"],
        aliases=tuple(row.get("aliases", ())),
        baseline=row.get("baseline", False),
        section=section,
        formula=row["formula"],
        parameters=fixed,
        kinks=tuple(map(float, row.get("kinks", ()))),
        smoothness=row.get("smoothness"),
        checked=row.get("checked", ""),
        unverified=row.get("unverified", ""),
        note=row.get("note", ""),
        function=function,
    )
