"""`search bench`: tables of scores, and what they say of strategies and of cheap proxies."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .options import AsJson
from .output import stderr, stdout

app = typer.Typer(
    help="Compare strategies without training, on tables of scores.", no_args_is_help=True
)

TablePath = Annotated[Path, typer.Argument(metavar="TABLE", help="A table of scores, .npz.")]


ENTRANTS = (
    "random",
    "evolution",
    "genetic",
    "reinforce",
    "surrogate",
    "optuna:tpe",
    "optuna:nsgaii",
)


@app.command()
def table(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Exhaustive runs, alike but for their seeds."),
    ],
    out: Annotated[Path, typer.Option(help="File to write, .npz.")],
) -> None:
    """Scores of every function of a space, from runs of strategy exhaustive with keep = 1."""
    from .tabulate import tabulate

    made = tabulate(runs)
    made.save(out)
    stderr.print(
        f"wrote {out}: {len(made.functions):,} functions of {len(made.spellings):,} spellings, "
        f"{len(made.seeds)} seeds, {len(made.rungs)} rungs"
    )


@app.command()
def strategies(
    table: TablePath,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help=f"May be repeated. [default: {' '.join(ENTRANTS)}]"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML with a table of settings for each entrant, by name."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Searches of each strategy.")] = 100,
    budget: Annotated[int, typer.Option(min=10, help="Evaluations of each search.")] = 500,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for strategies.json and regret.svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay searches on a table; nothing is trained."""
    from .bench_report import strategies_table, write_report
    from .strategy_benchmark import run_benchmark, summary

    entrants: dict[str, Mapping[str, Any]] = {
        name: {"strategy": {"name": name}} for name in strategy or (() if config else ENTRANTS)
    }
    if config:
        entrants |= _entrants(config)
    progress = _Progress(repeats)
    curves = run_benchmark(
        table, entrants, repeats, budget, workers or len(os.sched_getaffinity(0)), progress
    )
    rows = summary(curves)
    if out:
        write_report(out, table, curves, rows)
        stderr.print(f"wrote {out / 'strategies.json'} and {out / 'regret.svg'}")
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2, default=str) + "\n")
    else:
        stdout.print(strategies_table(rows, table.name))


@app.command()
def proxies(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE...", help="Tables of one space, on different tasks."),
    ],
    as_json: AsJson = False,
) -> None:
    """How well rungs, other seeds and other tasks predict the full scores."""
    from ..evaluators.table import load_table
    from .bench_report import proxies_table
    from .proxies import proxy_rows

    rows = proxy_rows({path.stem: load_table(path) for path in tables})
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        stdout.print(proxies_table(rows))


class _Progress:
    """One line for each strategy that is done, and one that changes on a terminal."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats

    def __call__(self, name: str, done: int) -> None:
        end = "\n" if done == self.repeats else "\r"
        if stderr.is_terminal or done == self.repeats:
            stderr.print(f"{name}: {done} of {self.repeats} searches", end=end)


def _entrants(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        entrants = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    for name, settings in entrants.items():
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{path}: '{name}' must be a table of settings, [{name}]")
    return entrants
