"""What `search bench` shows: tables on the terminal, a record and a picture in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table as Grid
from rich.text import Text

from ..errors import ConfigError
from ..runs.regret_picture import regret_picture
from ..runs.run import write_atomically
from .proxies import TOP
from .strategy_benchmark import CHECKPOINTS, CONFIDENCE, TOP_SHARE, Curves, median_interval


def strategies_table(rows: Sequence[Mapping[str, Any]], table_name: str) -> Group:
    """A row for each strategy, the soonest to the top first."""
    grid = Grid(title=f"Strategies on {table_name}", title_justify="left")
    grid.add_column("strategy", no_wrap=True)
    grid.add_column(f"to the top\n{TOP_SHARE:.1%}", justify="right", no_wrap=True)
    grid.add_column("got\nthere", justify="right")
    shown = [n for n in CHECKPOINTS if f"regret_{n}" in rows[0]]
    for evaluations in shown:
        grid.add_column(f"regret\nat {evaluations}", justify="right")
    grid.add_column("pro-\nposed", justify="right")
    grid.add_column("ms", justify="right")
    for row in rows:
        grid.add_row(
            row["name"],
            _interval(row["first_top"]),
            f"{row['found_top']:.0%}",
            *(f"{row[f'regret_{n}'][0]:.4f}" for n in shown),
            f"{row['proposals_per_evaluation']:.1f}",
            f"{row['milliseconds_per_evaluation']:.1f}",
        )
    legend = (
        f"Medians of {rows[0]['repeats']} searches. To the top: evaluations until one of the best "
        f"functions was trained in full, with the {CONFIDENCE:.0%} bootstrap interval; a dash "
        "where fewer than half get there. Regret: best mean score of the table less that of the "
        "function with the best score so far. Proposals and milliseconds are for each evaluation."
    )
    return Group(grid, Text(legend, style="dim"))


def proxies_table(rows: Sequence[Mapping[str, Any]]) -> Group:
    """A row for each proxy."""
    grid = Grid(title="What predicts the full score", title_justify="left")
    for column in ("full score of", "proxy"):
        grid.add_column(column)
    for column in ("share of\nthe steps", "tau", f"best {TOP:.0%} in\nits best third"):
        grid.add_column(column, justify="right")
    for row in rows:
        steps = "" if row["steps"] is None else f"{row['steps']:.2f}"
        grid.add_row(row["of"], row["proxy"], steps, f"{row['tau']:.2f}", f"{row['recall']:.0%}")
    return Group(grid)


def write_report(
    folder: Path, table: Path, curves: Sequence[Curves], rows: Sequence[Mapping[str, Any]]
) -> None:
    """`strategies.json` with the rows and `regret.svg` with the curves.

    Raises:
        ConfigError: the folder cannot be written.
    """
    picture = regret_picture(
        {
            each.name: (median_interval(each.regret), median_interval(each.reached))
            for each in curves
        }
    )
    record = {"table": table.name, "strategies": [_finite(row) for row in rows]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "strategies.json", json.dumps(record, indent=2).encode())
        write_atomically(folder / "regret.svg", picture.encode())
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}") from error


def _interval(values: Sequence[float]) -> str:
    median, low, high = ("–" if value == float("inf") else f"{value:.0f}" for value in values)
    return f"{median} ({low} to {high})"


def _finite(value: Any) -> Any:
    """JSON has no infinity: null."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if value == float("inf") else value
