"""Known activations: a name, a formula, where it comes from. The list is `activations.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ..expr import Expr, inputs
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
    table = tomllib.loads(files(__package__).joinpath("activations.toml").read_text("utf-8"))
    known: dict[str, KnownActivation] = {}
    functions: dict[str, Expr] = {}
    for row in table["activation"]:
        expr = parse(row["formula"], functions)
        aliases = tuple(row.get("aliases", ()))
        known[row["name"]] = KnownActivation(
            row["name"], expr, row["source"], aliases, row.get("baseline", False)
        )
        if inputs(expr) == ("x",):
            functions.update(dict.fromkeys((row["name"], *aliases), expr))
    return known


def baselines(names: tuple[str, ...] = ("x",)) -> list[KnownActivation]:
    """Those that a search is compared with: of its own inputs, and then those of x.

    Args:
        names: of the inputs that the candidates of the search read.
    """
    marked = [known for known in known_activations().values() if known.baseline]
    kinds = dict.fromkeys((names, ("x",)))
    return [known for kind in kinds for known in marked if inputs(known.expr) == kind]


def read_formula(text: str) -> Expr:
    """A formula, in which known activations may be called, or the bare name of one.

    Raises:
        ParseError: as of `parse`.
    """
    names = _by_any_name()
    if text.strip() in names:
        return names[text.strip()]
    return parse(text, {name: expr for name, expr in names.items() if inputs(expr) == ("x",)})


@cache
def _by_any_name() -> dict[str, Expr]:
    return {
        name: known.expr
        for known in known_activations().values()
        for name in (known.name, *known.aliases)
    }
