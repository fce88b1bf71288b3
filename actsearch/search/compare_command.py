"""The command `search compare`, and what other commands do with a directory that it made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from .options import (
    ZOO,
    Address,
    AsJson,
    CpusPerWorker,
    GpusPerWorker,
    InProcess,
    JobTimeout,
    Workers,
)
from .output import print_json, stderr, stdout

if TYPE_CHECKING:
    from ..runs.run import Run
    from .pools import PoolOptions


class CompareCommand(TyperCommand):
    """`--zoo` without a value is `--zoo standard`, which Typer's options cannot say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for place in [i for i, argument in enumerate(args) if argument == "--zoo"][::-1]:
            if args[place + 1 : place + 2] not in [[name] for name in ZOO]:
                args.insert(place + 1, "standard")
        return super().parse_args(ctx, args)


def compare(
    functions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPR|NAME|RUN#K...",
            help="Formulas, known names, candidates of runs. The first is the reference.",
        ),
    ] = None,
    task: Annotated[
        str, typer.Option(help="As of launch: an embedded task or your own FILE.py:Class.")
    ] = "mnist1d",
    seeds: Annotated[int, typer.Option(help="Fresh paired seeds for each function.")] = 10,
    against: Annotated[
        str | None, typer.Option(help="The reference; else the first function.")
    ] = None,
    zoo: Annotated[
        str | None,
        typer.Option(
            metavar="[standard|all]",
            help="Also known functions: 16 well-known ones or all; the best 8 of them after "
            "rounds of halving.",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where the task's data are.")] = None,
    seed: Annotated[int, typer.Option(help="Of the whole comparison.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Directory for all that comes of it; one of the same comparison is gone on with; "
            "else actsearch-runs/compare-TASK-N."
        ),
    ] = None,
    as_json: AsJson = False,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1.0,
    gpus_per_worker: GpusPerWorker = 0.0,
    address: Address = None,
    job_timeout: JobTimeout = 600.0,
    in_process: InProcess = False,
) -> None:
    """Which function is best on a task: learning rates for each, paired seeds, what is sure."""
    from ..runs.run import free_directory
    from .comparison_entrants import comparison_settings
    from .comparison_run import carry_on_comparison, open_comparison
    from .config import TaskSettings
    from .pools import PoolOptions

    options = PoolOptions(
        workers, cpus_per_worker, gpus_per_worker, address, job_timeout, in_process
    )
    where = TaskSettings(task, str(data) if data else "")
    settings = comparison_settings(
        functions or [], where, against=against, zoo=zoo, seeds=seeds, seed=seed
    )
    name = settings.task.name.rpartition(":")[2]
    with open_comparison(out or free_directory(f"compare-{name}"), settings) as run:
        _show(carry_on_comparison(run, options, stderr), as_json)


def resume_comparison(run: Run, options: PoolOptions) -> None:
    """Go on with a comparison in an opened directory, and print its table."""
    from .comparison_run import carry_on_comparison

    _show(carry_on_comparison(run, options, stderr), as_json=False)


def report_of_comparison(run: Run) -> str:
    """The page about a finished comparison."""
    from .comparison_run import page_of_comparison

    return page_of_comparison(run)


def show_status(run: Run, as_json: bool) -> None:
    """Print how far a comparison is."""
    from .comparison_run import comparison_status
    from .terminal import duration

    facts = comparison_status(run)
    if as_json:
        print_json(facts)
        return
    best = facts["best"]
    lines = {
        "state": facts["state"],
        "trained": ", ".join(f"{count} {stage}" for stage, count in facts["stages"].items())
        or "nothing yet",
        "ended": ", ".join(f"{count} {name}" for name, count in facts["ended"].items()) or "none",
        "best": f"{best['score']:.4f} {best['label']}" if best else "none yet",
        "training time": f"{duration(facts['training_seconds'])}, summed over workers",
    }
    for name, text in lines.items():
        stdout.print(f"{name:>13}  {text}", soft_wrap=True, highlight=False)


def _show(table: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(table)
        return
    from .comparison_terminal import comparison_tables

    stdout.print(comparison_tables(table))
