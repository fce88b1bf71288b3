"""The command `search`: parse, call the library, print."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..errors import ActsearchError, ConfigError
from .bench import app as bench

app = typer.Typer(
    name="search",
    help="Search for activation functions, and say honestly whether one is better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench, name="bench")
_out = Console(markup=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
# Typer carries its own copy of click in some versions; both name their errors so.
_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
_INTERRUPTED = 130

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
    from ..runs.run import Run
    from .config import load_config, read_config, resolve, without_task_defaults
    from .cost import with_costs
    from .execution import carry_on
    from .pools import PoolOptions
    from .presets import merged, preset_of_space, preset_table

    options = PoolOptions(
        workers, cpus_per_worker, gpus_per_worker, address, job_timeout, in_process
    )
    given = read_config(config) if config else {}
    preset = preset or preset_of_space(space or _section(given, "space").get("name"))
    table = merged(preset_table(preset) if preset else {}, given)
    table.pop("versions", None)
    if task and task != _section(table, "task").get("name", task):
        kept = without_task_defaults(table)
        if kept != table:
            _err.print("note: data, learning rate and rungs of the other task are left out")
        table = kept
    named = {"space": space, "strategy": strategy}
    table = merged(table, {key: {"name": name} for key, name in named.items() if name})
    for section, key, value in (
        (None, "seed", seed),
        (None, "budget", budget),
        ("search", "cost_weight", cost_weight),
        ("screens", "batch_statistics", batch_statistics),
        ("search", "objectives", objectives.split(",") if objectives else None),
        ("task", "name", task),
        ("task", "data", str(data) if data else None),
        ("task", "anchors", anchors.split(",") if anchors else None),
    ):
        if value is not None:
            into = table if section is None else _section(table, section)
            into[key] = value
    settings, loaded = resolve(load_config(table))
    priced = bool(settings.costs)
    settings = with_costs(settings, options.device)
    if settings.models_cost:
        known = "taken from the table [costs]" if priced else "measured on this machine"
        _err.print(f"note: the costs of operators are {known}")
    path = out or _free_directory(settings.task.name)
    with Run.create(path, settings.to_dict()) as run:
        carry_on(run, settings, loaded, options, _out, _err)


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
    from ..runs.run import Run
    from .config import load_config, reload_task, versions
    from .execution import carry_on
    from .pools import PoolOptions

    options = PoolOptions(
        workers, cpus_per_worker, gpus_per_worker, address, job_timeout, in_process
    )
    with Run.open(run_path, writable=True) as run:
        if run.journal.repaired:
            _err.print(f"cut off {run.journal.repaired} bytes of an unfinished last record")
        settings = load_config(run.config())
        if run.restore_config():
            _err.print("config.toml was missing and is restored from the journal")
        for name, now in versions().items():
            then = settings.versions.get(name, now)
            if then != now:
                _err.print(f"note: launched with {name} {then}, resumed with {now}")
        carry_on(run, settings, reload_task(settings.task), options, _out, _err)


@app.command()
def status(run_path: RunPath, as_json: AsJson = False) -> None:
    """How far a run is, what was rejected and why, and the time spent."""
    from ..runs.run import Run
    from ..runs.status import run_status
    from .terminal import duration, rejections

    with Run.open(run_path) as run:
        facts = run_status(run)
    if as_json:
        _print_json(facts)
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
        _out.print(f"{name:>13}  {text}", soft_wrap=True, highlight=False)


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
        _err.print(f"measuring {listed} functions, about a second each")
        board = add_costs(board, device_here(trained_on))
    if as_json:
        _print_json(board)
    else:
        _out.print(leaderboard_table(board))


# A formula may begin with a minus sign.
_FORMULA = {"ignore_unknown_options": True}


@app.command(name="eval", context_settings=_FORMULA)
def evaluate(
    formula: Annotated[
        str, typer.Argument(metavar="EXPR", help="A formula, or a known activation's name.")
    ],
    at: Annotated[
        str, typer.Option(help="Points, as -1,0,2.5; for two inputs u:v, as -1:2,0:1.")
    ] = "-2,-1,-0.5,0,0.5,1,2",
    dtype: Annotated[str, typer.Option(help="float64, float32, bfloat16 or float16.")] = "float64",
    as_json: AsJson = False,
) -> None:
    """Value and slope of a formula, trainable parameters at their initial values."""
    from .evaluation import evaluate_at

    result = evaluate_at(formula, at, dtype)
    if as_json:
        _print_json(result)
        return
    from rich.table import Table

    _out.print(result["canonical"], soft_wrap=True, highlight=False)
    table = Table()
    for column in result["columns"]:
        table.add_column(column, justify="right")
    for row in result["points"]:
        table.add_row(*(f"{row[column]:.10g}" for column in result["columns"]))
    _out.print(table)


@app.command(context_settings=_FORMULA)
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
        _print_json(report)
    else:
        _out.print(cost_table(report))


@app.command(context_settings=_FORMULA)
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
    _write(out, f"rank_{rank}.py", text)


@app.command()
def report(
    run_path: RunPath,
    out: Annotated[
        Path | None, typer.Option(help="File to write. [default: RUN/report.html]")
    ] = None,
) -> None:
    """One self-contained HTML page: leaderboard, shapes, progress, rejections, finals."""
    from ..runs.report import report_html
    from ..runs.run import REPORT, Run

    with Run.open(run_path) as run:
        page = report_html(run)
    _write(out or run_path / REPORT, REPORT, page)


def main() -> None:
    """Entry point: a user's error is one line and exit code 2; a bug keeps its traceback."""
    try:
        code = app(standalone_mode=False)
    except ActsearchError as error:
        _err.print(f"error: {error}", style="red")
        sys.exit(2)
    except _UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        _err.print(f"error: {message}", style="red")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _write(target: Path, default_name: str, text: str) -> None:
    from ..runs.run import write_atomically

    if target.is_dir():
        target = target / default_name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    _err.print(f"wrote {target}")


def _names_a_run(source: str) -> bool:
    """Whether it is a folder, or would stand in one; `x/2` is a formula, unless x is a folder."""
    parent = os.path.dirname(source)
    return os.path.isdir(source) or (bool(parent) and os.path.isdir(parent) and "(" not in source)


def _section(table: dict[str, Any], name: str) -> dict[str, Any]:
    section = table.setdefault(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"setting {name}={section!r} must be a table, [{name}]")
    return section


def _free_directory(task: str) -> Path:
    name = task.rpartition(":")[2] or task
    number = 1
    while (path := Path("actsearch-runs") / f"{name}-{number}").exists():
        number += 1
    return path


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: both become null."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
