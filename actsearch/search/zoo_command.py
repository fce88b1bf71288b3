"""The command `search zoo`: what has a name, and all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AsJson
from .output import print_json, stdout

if TYPE_CHECKING:
    from ..primitives import KnownActivation

_SMOOTHNESS = {-1: "jumps", 0: "continuous, the slope jumps"}


def zoo(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One function, to show all about it.")
    ] = None,
    word: Annotated[
        str | None,
        typer.Option(help="List only rows with this word in name, alias, formula or source."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The known activations, or one of them; each name can be used wherever a formula can."""
    from ..errors import ConfigError
    from ..primitives.operators import did_you_mean
    from ..primitives.zoo import known_functions

    known = known_functions()
    if name is None:
        rows = [row for row in known.values() if word is None or _has(row, word)]
        if not rows:
            raise ConfigError(f"no function of the zoo has the word '{word}'")
        _list(rows, as_json)
        return
    by_any_name = {any_name: row for row in known.values() for any_name in (row.name, *row.aliases)}
    if name not in by_any_name:
        hint = did_you_mean(name, by_any_name) or "; see: search zoo"
        raise ConfigError(f"the zoo has no function '{name}'{hint}")
    facts = facts_of(by_any_name[name])
    if as_json:
        print_json(facts)
    else:
        _show(facts)


def facts_of(row: KnownActivation) -> dict[str, Any]:
    """One row for people and programs, in the order in which it is shown."""
    from ..primitives.zoo import SECTIONS

    return {
        "name": row.name,
        "aliases": list(row.aliases),
        "section": SECTIONS[row.section],
        "kind": kind_of(row),
        "formula": row.formula,
        "canonical": row.expr.text,
        "inputs": list(row.function.inputs),
        "parameters": [
            *({"name": n, "value": v, "trained": False} for n, v in row.parameters.items()),
            *(
                {"name": p.name, "value": p.initial, "trained": True, "one per": str(p.scope)}
                for p in row.function.trainable
            ),
        ],
        "kinks": list(row.kinks),
        "smoothness": row.smoothness,
        "source": row.source,
        "checked": row.checked,
        "unverified": row.unverified,
        "note": row.note,
        "baseline": row.baseline,
    }


def kind_of(row: KnownActivation) -> str:
    """What is special: gated, layer, trained, surrogate slope, unverified; else `scalar`."""
    from ..primitives import Apply
    from ..primitives.expr import postorder
    from ..primitives.layer_words import layer_words

    names = {n.operator.name for n in postorder(row.expr) if isinstance(n, Apply)}
    words = [
        "gated" if len(row.function.inputs) > 1 else "",
        "layer" if layer_words(row.expr) else "",
        "trained" if row.function.trainable else "",
        "surrogate slope" if "surrogate" in names else "",
        "unverified" if row.unverified else "",
    ]
    return ", ".join(filter(None, words)) or "scalar"


def _has(row: KnownActivation, word: str) -> bool:
    texts = (row.name, *row.aliases, row.formula, row.source, row.note, row.section)
    return any(word.lower() in text.lower() for text in texts)


def _list(rows: Sequence[KnownActivation], as_json: bool) -> None:
    from rich.table import Table

    from ..primitives.zoo import SECTIONS

    if as_json:
        print_json([facts_of(row) for row in rows])
        return
    # One line for each, with the same columns in all sections; what does not fit is cut off.
    names = max(len(row.name) for row in rows)
    kinds = max(len(kind_of(row)) for row in rows)
    for section, members in groupby(rows, key=lambda row: row.section):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("name", no_wrap=True, min_width=names)
        table.add_column("kind", no_wrap=True, min_width=kinds)
        table.add_column("formula", no_wrap=True, overflow="ellipsis")
        for row in members:
            table.add_row(row.name, kind_of(row), row.formula)
        stdout.print(f"\n{SECTIONS[section]}", style="bold")
        stdout.print(table)


def _show(facts: dict[str, Any]) -> None:
    lines = {
        "name": facts["name"],
        "aliases": ", ".join(facts["aliases"]),
        "section": facts["section"],
        "kind": facts["kind"],
        "formula": facts["formula"],
        "computes": facts["canonical"],
        "parameters": "; ".join(_parameter(p) for p in facts["parameters"]),
        "call": _call(facts),
        "kinks": ", ".join(f"{k:g}" for k in facts["kinks"]),
        "smoothness": _smoothness(facts["smoothness"]),
        "source": facts["source"],
        "checked": facts["checked"],
        "unverified": facts["unverified"],
        "note": facts["note"],
    }
    for name, text in lines.items():
        if text:
            stdout.print(f"{name:>10}  {text}", soft_wrap=True, highlight=False)


def _parameter(facts: dict[str, Any]) -> str:
    trained = f"trained, one per {facts['one per']}" if facts["trained"] else "fixed"
    return f"{facts['name']} = {facts['value']:g} ({trained})"


def _call(facts: dict[str, Any]) -> str:
    if not facts["parameters"]:
        return ""
    first = facts["parameters"][0]
    return f"{facts['name']}({', '.join(facts['inputs'])}, {first['name']}={first['value']:g})"


def _smoothness(order: int | None) -> str:
    if order is None:
        return "smooth"
    return _SMOOTHNESS.get(order, f"C{order}: {order} continuous derivatives")
