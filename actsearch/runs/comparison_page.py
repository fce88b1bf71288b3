"""One page about a comparison, for people. It holds all that it shows, and runs no script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w
from markupsafe import Markup

from ..primitives import infix, parse
from .page import page_of


def comparison_page(
    name: str, table: Mapping[str, Any], picture: str, config: Mapping[str, Any]
) -> str:
    """The page, complete and self-contained.

    Args:
        table: as of `search.comparison_table`; with `times`, if they were measured.
        picture: SVG.
        config: settings of the comparison.
    """
    columns = further_columns(table)
    rows = [
        {
            **row,
            "infix": infix(parse(row["formula"])),
            "columns": {name: further(row).get(name) for name in columns},
        }
        for row in table["functions"]
    ]
    return page_of(
        "comparison.html.j2",
        name=name,
        table={**table, "functions": rows},
        columns=columns,
        maybe_best={table["best"], *table["tied_with_best"]},
        times=table.get("times"),
        picture=Markup(picture),
        settings=tomli_w.dumps(config),
    )


def further(row: Mapping[str, Any]) -> dict[str, float]:
    """Scores of the task's networks and its measures, of one function."""
    return {**row["parts"], **row["measures"]}


def further_columns(table: Mapping[str, Any]) -> list[str]:
    """Their names, in order."""
    return list(dict.fromkeys(name for row in table["functions"] for name in further(row)))
