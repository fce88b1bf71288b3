"""A comparison as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..primitives import infix, parse
from ..runs.comparison_page import further, further_columns
from .comparison_table import NOT_SHOWN


def comparison_tables(table: Mapping[str, Any]) -> Group:
    """Means and times, paired differences, what fell in the rounds, and what it all says."""
    parts: list[Any] = [_means(table)]
    if any(row["difference"] for row in table["functions"]):
        parts += [_differences(table)]
    return Group(*parts, *map(Text, _notes(table)), Text(), *map(Text, table["verdict"]))


def _means(table: Mapping[str, Any]) -> Table:
    times = table.get("times")
    maybe_best = {table["best"], *table["tied_with_best"]}
    drawn = Table(
        title=f"{table['task']}, {table['seeds']} paired seeds; * may be the best",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    columns = further_columns(table)
    drawn.add_column("")
    for column in ("mean", "± sd", *columns, "rate"):
        drawn.add_column(column, justify="right")
    if times:
        drawn.add_column("ms a step", justify="right")
        drawn.add_column(f"of {times['unit']}'s", justify="right")
    drawn.add_column("name", overflow="fold")
    for row in table["functions"]:
        figures = [further(row).get(column) for column in columns]
        cells = [
            "*" if row["label"] in maybe_best else "",
            _number(row["mean"]),
            _number(row["deviation"]),
            *(_number(figure) for figure in figures),
            _number(row["learning_rate"], "g"),
        ]
        if times:
            cells.append(_number(times["step_ms"][row["label"]], ".3g"))
            cells.append(_number(times["of_unit"][row["label"]], ".2f"))
        drawn.add_row(*cells, row["label"], style="dim" if row["unsound"] else "")
    return drawn


def _differences(table: Mapping[str, Any]) -> Table:
    drawn = Table(
        title=f"Difference from {table['reference']} on the same seeds",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in ("effect", f"{table['confidence']:.0%} interval", "p"):
        drawn.add_column(column, justify="right", no_wrap=True)
    drawn.add_column("", min_width=6)
    for column in ("seeds", "detects"):
        drawn.add_column(column, justify="right", no_wrap=True)
    drawn.add_column("name", overflow="fold")
    for row in table["functions"]:
        found = row["difference"]
        if found:
            drawn.add_row(
                f"{found['effect']:+.4f}",
                f"{found['low']:+.4f} to {found['high']:+.4f}",
                f"{found['p_holm']:.3f}",
                "-" if found["says"] == NOT_SHOWN else found["says"],
                f"{found['required_seeds']:,}" if found["required_seeds"] else "-",
                _number(found["smallest_effect"]),
                row["label"],
            )
    return drawn


def _notes(table: Mapping[str, Any]) -> Iterator[str]:
    if any(row["difference"] for row in table["functions"]):
        yield (
            f"p: sign-flip test, Holm's correction; seeds: how many find that effect in "
            f"{table['power']:.0%} of cases; detects: what {table['seeds']} seeds find as often"
        )
    times = table.get("times")
    if times:
        yield f"ms a step: measured side by side on {times['machine']}, and noisy"
    for row in table["functions"]:
        if row["at_edge"]:
            yield f"{row['label']}: the best rate is the last one tried, a further may be better"
        for reason in row["unsound"]:
            yield f"{row['label']}: {reason}"
    for label, twin in table["merged"].items():
        yield f"{label} is the same function as {twin}, up to a factor"
    for label, reason in table["left_out"].items():
        yield f"left out {label}: {reason}"
    for number, each in enumerate(table["halving"], 1):
        fell = [
            f"{row['label']} {_number(row['score'], '.3f')}"
            for row in each["functions"]
            if not row["goes_on"]
        ]
        yield (
            f"fell in round {number} ({each['steps']} steps, {each['seeds']} seeds): "
            + ", ".join(fell)
        )
    formulas = [(row["label"], infix(parse(row["formula"]))) for row in table["functions"]]
    named = [
        (label, formula)
        for label, formula in formulas
        if formula.replace(" ", "") not in (label.replace(" ", ""), f"{label}(x)")
    ]
    width = max((len(label) for label, _ in named), default=0)
    for label, formula in named:
        yield f"{label:>{width}}  {formula}"


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)
