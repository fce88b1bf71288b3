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

_MARK = " ?"
_KIND_WIDTH = len("surrogate" + _MARK)
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
    """What a row is, in order: gated, layer, random, vector, surrogate slope; then whether it is
    trained or unverified; `scalar` where there is nothing to say."""
    from ..primitives.layer_words import is_random, layer_words

    words = [
        "gated" if len(row.function.inputs) > 1 else "",
        _kind_of_layer(row.section, is_random(row.expr)) if layer_words(row.expr) else "",
        "surrogate slope" if row.section == "surrogate_gradients" else "",
        "trained" if row.function.trainable else "",
    ]
    kind = ", ".join(filter(None, words)) or "scalar"
    return f"{kind}, unverified" if row.unverified else kind


def _kind_of_layer(section: str, random: bool) -> str:
    if random:
        return "random"
    return "layer" if section == "layers" else "vector"


def _has(row: KnownActivation, word: str) -> bool:
    texts = (row.name, *row.aliases, row.formula, row.source, row.note, row.section)
    return any(word.lower() in text.lower() for text in texts)


def _list(rows: Sequence[KnownActivation], as_json: bool) -> None:
    from ..primitives.zoo import SECTIONS

    if as_json:
        print_json([facts_of(row) for row in rows])
        return
    # One line for each, with the same columns in all sections; a terminal cuts off what is wider.
    name_width = max(len(row.name) for row in rows)
    order = list(SECTIONS)
    in_order = sorted(rows, key=lambda row: order.index(row.section))
    for section, members in groupby(in_order, key=lambda row: row.section):
        stdout.print(f"\n{SECTIONS[section]}", style="bold")
        for row in members:
            kind = kind_of(row).partition(",")[0].partition(" ")[0] + _MARK * bool(row.unverified)
            line = f"{row.name:<{name_width}}  {kind:<{_KIND_WIDTH}}  {row.formula}"
            if stdout.is_terminal and len(line) > stdout.width:
                line = f"{line[: stdout.width - 3]}..."
            stdout.print(line, soft_wrap=True, highlight=False, markup=False)
    doubtful = sum(bool(row.unverified) for row in rows)
    marked = f", {doubtful} with a ?: search zoo NAME says what is unverified"
    count = f"{len(rows)} function{'s' * (len(rows) > 1)}"
    stdout.print(f"\n{count}{marked * bool(doubtful)}", highlight=False)


def _show(facts: dict[str, Any]) -> None:
    lines = {
        "name": facts["name"],
        "aliases": ", ".join(facts["aliases"]),
        "section": facts["section"],
        "kind": facts["kind"],
        "formula": facts["formula"],
        "computes": facts["canonical"],
        "parameters": _parameters(facts["parameters"]),
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


def _parameters(listed: Sequence[dict[str, Any]]) -> str:
    parts = []
    for tag, alike in groupby(listed, key=_tag):
        values = ", ".join(f"{p['name']} = {p['value']:g}" for p in alike)
        parts.append(f"{values} ({tag})")
    return "; ".join(parts)


def _tag(parameter: dict[str, Any]) -> str:
    return f"trained, one per {parameter['one per']}" if parameter["trained"] else "fixed"


def _call(facts: dict[str, Any]) -> str:
    if not facts["parameters"]:
        return ""
    first = facts["parameters"][0]
    return f"{facts['name']}({', '.join(facts['inputs'])}, {first['name']}={first['value']:g})"


def _smoothness(order: int | None) -> str:
    if order is None:
        return "smooth"
    return _SMOOTHNESS.get(order, f"C{order}: {order} continuous derivatives")
