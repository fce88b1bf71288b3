"""Carry a comparison to its end, or to Ctrl-C, in its run directory."""

from __future__ import annotations

import math
import shlex
import signal
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..errors import RunError
from ..evaluators.step_time import TURNS, step_seconds
from ..evaluators.task_trainers import TaskTrainers
from ..evaluators.tasks import Task
from ..evaluators.training import Trainer
from ..primitives import infix, parse, read_formula
from ..runs.comparison_page import comparison_page
from ..runs.comparison_picture import comparison_pictures
from ..runs.journal import FINALS, SEARCH, Entry
from ..runs.run import COMPARISON, REPORT, Run, write_atomically
from .comparison import LAYERS, run_comparison
from .comparison_config import ComparisonConfig, load_comparison
from .comparison_table import comparison_table
from .config import reload_task
from .cost import device_here
from .execution import note_device
from .pools import PoolOptions, make_pool
from .terminal import progress_display
from .trainings import Trainings

UNIT = "relu"
"""The function whose step is the unit of time."""
PICTURES = ("comparison.svg", "comparison.png")


def open_comparison(path: Path, config: ComparisonConfig) -> Run:
    """A new run directory of the comparison, or the one that it was begun in.

    Raises:
        RunError: the directory holds something else.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return Run.create(path, config.to_dict())
    run = Run.open(path, writable=True, kinds=(COMPARISON,))
    try:
        recorded = load_comparison(run.config())
        if replace(recorded, versions={}) != replace(config, versions={}):
            there, here = recorded.to_dict(), config.to_dict()
            differs = next(n for n in here if n != "versions" and there[n] != here[n])
            raise RunError(
                f"{path} holds another comparison: its {differs} differ; choose another --out, or "
                f"go on with that one: search resume {shlex.quote(str(path))}"
            )
    except BaseException:
        run.close()
        raise
    return run


def carry_on_comparison(run: Run, options: PoolOptions, err: Console) -> dict[str, Any]:
    """Train what is missing, with progress on `err`; gives the table, with `times`.

    The table is in the journal afterwards, and the page and the pictures in the directory.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after saying how to go on.
        ActsearchError: as of the pool, the task and the journal.
    """
    config = load_comparison(run.config())
    task = reload_task(config.task)
    torch.set_num_threads(1)
    # A batch system ends a job by SIGTERM: stop as cleanly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _introduce(run, config, options, err)
    try:
        if not _finished(run):
            _train(run, config, task, options, err)
        if run.journal.attribute("times") is None:
            err.print("measuring the time of a training step")
            device = device_here(options.device)
            times = _times(config, run.journal.attribute("comparison"), task, device)
            run.journal.set_attribute("times", times)
    except KeyboardInterrupt:
        facts = comparison_status(run)
        err.print(f"stopped; {facts['trained']} trainings are on disk")
        if facts["best"]:
            err.print(f"best so far: {facts['best']['score']:.4f} {facts['best']['label']}")
        again = shlex.join(["search", "resume", str(run.path), *options.flags()])
        err.print(f"go on with:  {again}")
        raise
    table = finished_table(run)
    svg, png = comparison_pictures(table)
    write_atomically(run.path / PICTURES[0], svg.encode())
    write_atomically(run.path / PICTURES[1], png)
    write_atomically(run.path / REPORT, _page(run, table, svg).encode())
    err.print(f"wrote {run.path / REPORT} and {', '.join(PICTURES)} beside it")
    return table


def finished_table(run: Run) -> dict[str, Any]:
    """The table of a finished comparison, with `times`.

    Raises:
        RunError: it is not finished.
    """
    table = run.journal.attribute("comparison")
    if table is None:
        raise RunError(
            f"the comparison in {run.path} is not finished; go on with: "
            f"search resume {shlex.quote(str(run.path))}"
        )
    times = run.journal.attribute("times")
    return {**table, "times": times} if times else dict(table)


def page_of_comparison(run: Run) -> str:
    """Its page.

    Raises:
        RunError: it is not finished.
    """
    table = finished_table(run)
    return _page(run, table, comparison_pictures(table)[0])


def comparison_status(run: Run) -> dict[str, Any]:
    """How far a comparison is, JSON-ready."""
    journal = run.journal
    entries = [*journal.entries(SEARCH), *journal.entries(FINALS)]
    by_stage = Counter(_stage(entry) for entry in entries)
    ended = journal.attribute("comparison") is not None
    return {
        "kind": COMPARISON,
        "state": "finished" if ended else "running" if run.in_use() else "stopped",
        "trained": len(entries),
        "stages": dict(by_stage),
        "ended": dict(Counter(str(entry.result.status) for entry in entries)),
        "best": _best_so_far(entries),
        "training_seconds": sum(entry.result.seconds for entry in entries),
    }


def _stage(entry: Entry) -> str:
    return entry.job.key.partition("/")[0]


def _best_so_far(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """The highest mean over seeds of the latest stage that has scores."""
    scored = [entry for entry in entries if entry.result.standing is not None]
    if not scored:
        return None
    scores: defaultdict[tuple[str, str, float], list[float]] = defaultdict(list)
    for entry in scored:
        if _stage(entry) == _stage(scored[-1]) and entry.result.score is not None:
            name = entry.label, entry.job.formula, entry.job.learning_rate
            scores[name].append(entry.result.score)
    (label, formula, _), found = max(scores.items(), key=lambda item: statistics.fmean(item[1]))
    return {"label": label, "formula": infix(parse(formula)), "score": statistics.fmean(found)}


def _train(
    run: Run, config: ComparisonConfig, task: Task, options: PoolOptions, err: Console
) -> None:
    trainers = {
        name: Trainer(task, options.device, normalises=name == LAYERS) for name in ("", LAYERS)
    }
    with make_pool(TaskTrainers(trainers), options) as pool, progress_display(err) as show:
        made_by = config.versions.get("actsearch", "as launched")
        trainings = Trainings(run, pool, (SEARCH, FINALS), made_by, show)
        outcome = run_comparison(config, trainings)
    table = comparison_table(config, outcome)
    run.journal.set_attribute("comparison", table)


def _finished(run: Run) -> bool:
    """Whether nothing is to be trained: what failed is tried again."""
    table = run.journal.attribute("comparison")
    return table is not None and not any(row["unsound"] for row in table["functions"])


def _times(
    config: ComparisonConfig, table: dict[str, Any], task: Task, device: str
) -> dict[str, Any]:
    """Milliseconds of a training step by label, and as a multiple of relu's."""
    normalises = {e.label: e.normalises for e in (*config.entrants, *config.members)}
    rows = table["functions"]
    functions = [(parse(row["formula"]), normalises[row["label"]]) for row in rows]
    unit, *times = step_seconds(task, [(read_formula(UNIT), False), *functions], device)
    cuda = device != "cpu"
    by_label = {row["label"]: seconds for row, seconds in zip(rows, times, strict=True)}
    return {
        "unit": UNIT,
        "machine": torch.cuda.get_device_name(device) if cuda else "one thread of the CPU",
        "turns": TURNS,
        "step_ms": {label: _finite(1e3 * seconds) for label, seconds in by_label.items()},
        "of_unit": {label: _finite(seconds / unit) for label, seconds in by_label.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _page(run: Run, table: dict[str, Any], svg: str) -> str:
    return comparison_page(run.path.resolve().name, table, svg, run.config())


def _introduce(run: Run, config: ComparisonConfig, options: PoolOptions, err: Console) -> None:
    count = len(config.entrants) + len(config.members)
    err.print(
        f"{run.path}: {count} functions against {config.reference}, task {config.task.name}, "
        f"{config.seeds} seeds"
    )
    for label, twin in config.merged.items():
        err.print(f"note: {label} is the same function as {twin}, up to a factor; trained once")
    note_device(run, options, err)
