"""Carry a run to its end, or to Ctrl-C, and print where it stands and what to type next."""

from __future__ import annotations

import gc
import shlex
import signal

import torch
from rich.console import Console

from ..evaluators.spectra import spectrum_on
from ..evaluators.task_trainers import TaskTrainers
from ..evaluators.tasks import Task
from ..evaluators.training import Trainer
from ..runs.journal import FINALS
from ..runs.leaderboard import leaderboard
from ..runs.run import Run
from .config import Config, reload_task
from .engine import Engine
from .finals import smallest_p
from .pools import PoolOptions, make_pool
from .terminal import leaderboard_table, progress_display, size

LOOKBACK_PER_WORKER = 8
"""Keeps most of them busy where trainings differ in length as rungs make them; measured in a
simulation, docs/lookback.md."""


def carry_on(
    run: Run, config: Config, task: Task, options: PoolOptions, out: Console, err: Console
) -> None:
    """Search and finals, with progress on `err` and the leaderboard on `out`.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after saying how to go on.
        ActsearchError: as of the engine and the pool.
    """
    torch.set_num_threads(1)
    # A batch system ends a job by SIGTERM: stop as cleanly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tasks, layers = {"": task}, config.space.replaces_norm
    if config.finals.finalists and config.finals.task.name:
        tasks[FINALS] = reload_task(config.finals.task)
    trainers = {name: Trainer(each, options.device, layers) for name, each in tasks.items()}
    # What is there now, most of it torch, stays to the end, and expressions are no cycles: to look
    # through both again and again takes a fifth of the time that proposing takes.
    gc.freeze()
    gc.set_threshold(20_000, 10, 100)
    _introduce(run, config, options, err)
    path = shlex.quote(str(run.path))
    try:
        with make_pool(TaskTrainers(trainers), options) as pool, progress_display(err) as show:
            engine = Engine(config, run, pool, spectrum_on(task, normalises=layers), show)
            engine.search()
            engine.finals()
    except KeyboardInterrupt:
        board = leaderboard(run.journal, 1)
        err.print(f"stopped; {board['trained']} candidates are on disk")
        for row in board["candidates"]:
            err.print(f"best so far: {row['score']:.4f} {row['formula']}")
        err.print(f"go on with:  {shlex.join(['search', 'resume', str(run.path)])}", end="")
        err.print("".join(f" {flag}" for flag in options.flags()))
        raise
    board = leaderboard(run.journal, 10)
    out.print(leaderboard_table(board))
    summary = board["search"]
    if summary["exhausted"]:
        err.print(
            f"no new candidate is left after {summary['trained']} of {config.budget}: the space "
            f"ended, or {config.search.patience:,} proposals in a row gave none"
        )
    export = f"search export {path}   or   " if board["candidates"] else ""
    err.print(f"next:  {export}search report {path}")


def note_device(run: Run, options: PoolOptions, err: Console) -> None:
    """Keep the device of a run, and say where it goes on on another."""
    device = run.journal.attribute("device")
    if device is None:
        run.journal.set_attribute("device", options.device)
    elif device != options.device:
        err.print(
            f"note: begun on {device}, goes on on {options.device}; scores may differ in the last "
            "digits (--gpus-per-worker chooses the device)"
        )


def _introduce(run: Run, config: Config, options: PoolOptions, err: Console) -> None:
    space = config.space
    err.print(
        f"{run.path}: space {space.name} ({size(space.size)} formulas), task {config.task.name}, "
        f"budget {config.budget}, seed {config.seed}"
    )
    note_device(run, options, err)
    if config.search.lookback < LOOKBACK_PER_WORKER * options.worker_count:
        err.print(
            f"note: lookback {config.search.lookback} lets some of {options.worker_count} workers "
            f"wait; a new run can set {LOOKBACK_PER_WORKER} for each in [search]"
        )
    if config.finals.finalists and smallest_p(config.finals) >= 1 - config.finals.confidence:
        err.print(
            f"note: with {config.finals.seeds} seeds and {config.finals.finalists} finalists no "
            "difference can be significant after correction; set more [finals] seeds for a claim"
        )
