"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Ray workers, one thread each; default: one per core.")
]
CpusPerWorker = Annotated[float, typer.Option(help="CPUs that Ray reserves for a worker.")]
GpusPerWorker = Annotated[float, typer.Option(help="GPUs for a worker; fractions share one.")]
Address = Annotated[
    str | None, typer.Option(help="A running Ray cluster to use, such as auto or HOST:6379.")
]
JobTimeout = Annotated[float, typer.Option(help="Seconds after which a training has hung.")]
InProcess = Annotated[bool, typer.Option(help="Train in this process, for debugging.")]

ZOO = ("standard", "all")
"""What `--zoo` of a comparison takes: the well-known functions, or all."""
FORMULA_CONTEXT = {"ignore_unknown_options": True}
"""Of commands that take a formula, for one may begin with a minus sign."""
