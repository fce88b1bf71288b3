"""The command `search`: parse, call the library, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ActsearchError
from .bench import app as bench
from .compare_command import (
    CompareCommand,
    compare,
    report_of_comparison,
    resume_comparison,
    show_status,
)
from .derive_command import derive
from .function_commands import cost, evaluate, export
from .mix_command import mix
from .options import (
    FORMULA_CONTEXT,
    Address,
    AsJson,
    CpusPerWorker,
    GpusPerWorker,
    InProcess,
    JobTimeout,
    RunPath,
    Workers,
)
from .output import print_json, stderr, stdout, write
from .show_command import show
from .zoo_command import zoo

app = typer.Typer(
    name="search",
    help="Search for activation functions, and say honestly whether one is better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Typer carries its own copy of click in some versions; both name their errors so.
_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
_INTERRUPTED = 130


@app.command()
def launch(
    preset: Annotated[
        str | None,
        typer.Option(
            help="Settings of a published search: swish-2017, gecco-2020, pangaea-2022, "
            "aquasurf-2023, evonorm-b-2020 or evonorm-s-2020; --config and options given here win."
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="unary-binary, tree, four-node, gated, correction, rational, piecewise or "
            "evonorm. [default: unary-binary]"
        ),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Candidates that enter training. [default: 500]")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="surrogate, evolution, genetic, reinforce, optuna:SAMPLER, random or exhaustive. "
            "[default: surrogate]"
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="mnist1d, mnist1d-mlp, digits, fashion-mnist, cifar10, anchors-mnist1d and other "
            "anchors (docs/layers.md), or your own FILE.py:Class. [default: mnist1d]"
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where the task's data are.")] = None,
    anchors: Annotated[
        str | None,
        typer.Option(help="Networks of the task to use, as resnet,mobilenet. [default: all]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the whole run. [default: 0]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings in TOML; options given here win.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory. [default: actsearch-runs/TASK-N]")
    ] = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1.0,
    gpus_per_worker: GpusPerWorker = 0.0,
    address: Address = None,
    job_timeout: JobTimeout = 600.0,
    in_process: InProcess = False,
    cost_weight: Annotated[
        float | None,
        typer.Option(help="Score points for each doubling of the cost over relu's. [default: 0]"),
    ] = None,
    batch_statistics: Annotated[
        bool | None,
        typer.Option(help="Whether layers may mix the examples of a batch. [default: the task's]"),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            help="score, or anchors for the score of each network by itself; then cost, "
            "complexity or both. [default: score]"
        ),
    ] = None,
) -> None:
    """Search, then retrain the best against known activations, and print the leaderboard."""
    from ..runs.run import Run, free_directory
    from .config import load_config, read_config, resolve
    from .cost import with_costs
    from .execution import carry_on
    from .launch_table import launch_table
    from .pools import PoolOptions

    options = PoolOptions(
        workers, cpus_per_worker, gpus_per_worker, address, job_timeout, in_process
    )
    table = launch_table(
        read_config(config) if config else {},
        preset=preset,
        space=space,
        strategy=strategy,
        task=task,
        settings=(
            (None, "seed", seed),
            (None, "budget", budget),
            ("search", "cost_weight", cost_weight),
            ("screens", "batch_statistics", batch_statistics),
            ("search", "objectives", objectives.split(",") if objectives else None),
            ("task", "data", str(data) if data else None),
            ("task", "anchors", anchors.split(",") if anchors else None),
        ),
    )
    settings, loaded = resolve(load_config(table))
    priced = bool(settings.costs)
    settings = with_costs(settings, options.device)
    if settings.models_cost:
        known = "taken from the table [costs]" if priced else "measured on this machine"
        stderr.print(f"note: the costs of operators are {known}")
    path = out or free_directory(settings.task.name.rpartition(":")[2])
    with Run.create(path, settings.to_dict()) as run:
        carry_on(run, settings, loaded, options, stdout, stderr)


@app.command()
def resume(
    run_path: RunPath,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1.0,
    gpus_per_worker: GpusPerWorker = 0.0,
    address: Address = None,
    job_timeout: JobTimeout = 600.0,
    in_process: InProcess = False,
) -> None:
    """Go on with a run that was stopped or killed, as if it never had been."""
    from ..runs.run import COMPARISON, SEARCH, Run
    from .config import load_config, reload_task, versions
    from .execution import carry_on
    from .pools import PoolOptions

    options = PoolOptions(
        workers, cpus_per_worker, gpus_per_worker, address, job_timeout, in_process
    )
    with Run.open(run_path, writable=True, kinds=(SEARCH, COMPARISON)) as run:
        if run.journal.repaired:
            stderr.print(f"cut off {run.journal.repaired} bytes of an unfinished last record")
        if run.restore_config():
            stderr.print("config.toml was missing and is restored from the journal")
        for name, now in versions().items():
            then = run.config().get("versions", {}).get(name, now)
            if then != now:
                stderr.print(f"note: launched with {name} {then}, resumed with {now}")
        if run.kind == COMPARISON:
            resume_comparison(run, options)
            return
        settings = load_config(run.config())
        carry_on(run, settings, reload_task(settings.task), options, stdout, stderr)


@app.command()
def status(run_path: RunPath, as_json: AsJson = False) -> None:
    """How far a run is, what was rejected and why, and the time spent."""
    from ..runs.run import COMPARISON, SEARCH, Run
    from ..runs.status import run_status
    from .terminal import duration, rejections

    with Run.open(run_path, kinds=(SEARCH, COMPARISON)) as run:
        if run.kind == COMPARISON:
            show_status(run, as_json)
            return
        facts = run_status(run)
    if as_json:
        print_json(facts)
        return
    best = facts["best"]
    lines = {
        "state": facts["state"],
        "search": f"{facts['trained']} of {facts['budget']} candidates trained"
        + (", space exhausted" if facts["exhausted"] else ""),
        "proposed": f"{facts['proposed']}; rejected {rejections(facts['rejected'])}",
        "ended": ", ".join(f"{count} {name}" for name, count in facts["ended"].items()) or "none",
        "best": f"{best['score']:.4f} {best['formula']}" if best else "none yet",
        "finals": f"{facts['finals']} trainings"
        + (", compared" if facts["compared"] else ", not yet compared"),
        "training time": f"{duration(facts['training_seconds'])}, summed over workers",
    }
    for name, text in lines.items():
        stdout.print(f"{name:>13}  {text}", soft_wrap=True, highlight=False)


@app.command()
def top(
    run_path: RunPath,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Candidates to list.")] = 10,
    cost: Annotated[
        bool, typer.Option("--cost", help="Also measure what each costs on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The leaderboard. Without --cost it holds no times, so equal runs print equal bytes."""
    from ..runs.leaderboard import leaderboard
    from ..runs.run import Run
    from .terminal import leaderboard_table

    with Run.open(run_path) as run:
        board = leaderboard(run.journal, count)
        trained_on = run.journal.attribute("device")
    if cost:
        from .cost import add_costs, device_here

        listed = len(board["candidates"]) + len(board["baselines"])
        stderr.print(f"measuring {listed} functions, about a second each")
        board = add_costs(board, device_here(trained_on))
    if as_json:
        print_json(board)
    else:
        stdout.print(leaderboard_table(board))


@app.command()
def report(
    run_path: RunPath,
    out: Annotated[
        Path | None, typer.Option(help="File to write. [default: RUN/report.html]")
    ] = None,
) -> None:
    """One self-contained HTML page: leaderboard, shapes, progress, rejections, finals."""
    from ..runs.report import report_html
    from ..runs.run import COMPARISON, REPORT, SEARCH, Run

    with Run.open(run_path, kinds=(SEARCH, COMPARISON)) as run:
        page = report_of_comparison(run) if run.kind == COMPARISON else report_html(run)
    write(out or run_path / REPORT, REPORT, page)


app.add_typer(bench, name="bench")
app.command(context_settings=FORMULA_CONTEXT)(derive)
app.command()(zoo)
app.command("eval", context_settings=FORMULA_CONTEXT)(evaluate)
app.command(context_settings=FORMULA_CONTEXT)(cost)
app.command(context_settings=FORMULA_CONTEXT)(export)
app.command(cls=CompareCommand, context_settings=FORMULA_CONTEXT)(compare)
app.command()(mix)
app.command(context_settings=FORMULA_CONTEXT)(show)


def main() -> None:
    """Entry point: a user's error is one line and exit code 2; a bug keeps its traceback."""
    try:
        code = app(standalone_mode=False)
    except ActsearchError as error:
        stderr.print(f"error: {error}", style="red")
        sys.exit(2)
    except _UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        stderr.print(f"error: {message}", style="red")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
