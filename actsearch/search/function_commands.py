"""The commands about one function: `search eval`, `search cost`, `search export`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson
from .output import print_json, stdout, write


def evaluate(
    formula: Annotated[
        str, typer.Argument(metavar="EXPR", help="A formula, or a known activation's name.")
    ],
    at: Annotated[
        str,
        typer.Option(
            help="Points, as -1,0,2.5; for two inputs u:v, as -1:2,0:1. [default: some around 0]"
        ),
    ] = "",
    dtype: Annotated[str, typer.Option(help="float64, float32, bfloat16 or float16.")] = "float64",
    as_json: AsJson = False,
) -> None:
    """Value and slope of a formula, trainable parameters at their initial values."""
    from .evaluation import evaluate_at

    result = evaluate_at(formula, at, dtype)
    if as_json:
        print_json(result)
        return
    from rich.table import Table

    stdout.print(result["canonical"], soft_wrap=True, highlight=False)
    table = Table()
    for column in result["columns"]:
        table.add_column(column, justify="right")
    for row in result["points"]:
        table.add_row(*(f"{row[column]:.10g}" for column in result["columns"]))
    stdout.print(table)


def cost(
    formulas: Annotated[
        list[str], typer.Argument(metavar="EXPR...", help="Formulas, or known activations' names.")
    ],
    dtype: Annotated[str, typer.Option(help="float64, float32, bfloat16 or float16.")] = "float32",
    elements: Annotated[int, typer.Option(help="Of each tensor.")] = 1_000_000,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """What functions cost on this machine: time, bytes moved, memory kept for backward."""
    from .cost import cost_report
    from .terminal import cost_table

    report = cost_report(formulas, dtype, elements, device)
    if as_json:
        print_json(report)
    else:
        stdout.print(cost_table(report))


def export(
    source: Annotated[
        str, typer.Argument(metavar="RUN|EXPR", help="A run directory, or a formula or name.")
    ],
    rank: Annotated[
        int, typer.Option(min=1, help="Which candidate of the run; finalists come first.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write. [default: RUN/exports/rank_K.py; a formula is printed]"),
    ] = None,
    format: Annotated[
        str,
        typer.Option(help="torch, or triton: GPU kernels, one for each direction."),
    ] = "torch",
) -> None:
    """A function as one Python module that needs only torch (and triton, if asked for)."""
    from ..runs.run import EXPORTS
    from .exporting import check_format, source_of_formula, source_of_run

    check_format(format)
    path = Path(source)
    if source and _names_a_run(source):
        text = source_of_run(path, rank, format)
        name = f"rank_{rank}.py" if format == "torch" else f"rank_{rank}_{format}.py"
        out = out or path / EXPORTS / name
    else:
        text = source_of_formula(source, format)
    if out is None:
        sys.stdout.write(text)
        return
    write(out, f"rank_{rank}.py", text)


def _names_a_run(source: str) -> bool:
    """Whether it is a folder, or would stand in one; `x/2` is a formula, unless x is a folder."""
    parent = os.path.dirname(source)
    return os.path.isdir(source) or (bool(parent) and os.path.isdir(parent) and "(" not in source)
