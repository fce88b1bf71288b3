"""How soon each strategy finds the best functions of a table, over many repeats."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..evaluators.table import Table, load_table
from .replay import on_table, replay

TOP_SHARE = 0.005
CHECKPOINTS = (50, 100, 200, 500)
CONFIDENCE = 0.95
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Curves:
    """Replays of one strategy; rows are repeats, columns evaluations.

    Args:
        name: of the strategy.
        regret: (repeats, evaluations) best quality of the table less that of the function with
            the best score so far.
        reached: (repeats, evaluations) best quality of the table less the best quality among
            what was trained in full so far.
        first: (repeats,) evaluations until one of the top `TOP_SHARE` was trained in full; inf
            where none was.
        screened: proposals for each evaluation, on average.
        seconds: for each evaluation, of the coordinator, on average.
    """

    name: str
    regret: np.ndarray
    reached: np.ndarray
    first: np.ndarray
    screened: float
    seconds: float


def run_benchmark(
    path: Path,
    entrants: Mapping[str, Mapping[str, Any]],
    repeats: int,
    budget: int,
    workers: int,
    show: Callable[[str, int], None],
) -> list[Curves]:
    """Every entrant on a table, the same seeds for each.

    Args:
        path: of the table.
        entrants: settings by name, as in a configuration.
        repeats: replays of each, with seeds from 0 on.
        budget: evaluations of each replay.
        workers: processes.
        show: told the entrant's name and how many of its repeats are done.

    Raises:
        ConfigError: the table or an entrant's settings cannot be used.
    """
    table = load_table(path)
    for settings in entrants.values():
        on_table(table, {**settings, "budget": budget})
    found = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        for name, settings in entrants.items():
            whole = {**settings, "budget": budget}
            # A few seeds at a time: what a strategy caches serves the next.
            tasks = [
                pool.submit(_replays, path, whole, seeds.tolist())
                for seeds in np.array_split(range(repeats), min(repeats, 4 * workers))
            ]
            parts = []
            for task in tasks:
                parts.append(task.result())
                show(name, sum(len(part) for part in parts))
            found.append(_curves(name, [one for part in parts for one in part], budget))
    return found


@dataclass(frozen=True)
class _Run:
    regret: np.ndarray
    reached: np.ndarray
    first: float
    proposed: int
    seconds: float


def _replays(path: Path, settings: dict[str, Any], seeds: Sequence[int]) -> list[_Run]:
    table = _table(path)
    config = on_table(table, settings)
    best = float(table.quality.max())
    found = []
    for seed in seeds:
        begun = time.perf_counter()
        history = replay(table, config, seed)
        seconds = time.perf_counter() - begun
        reached = history.reached(table)
        hits = np.flatnonzero(reached >= top_quality(table))
        first = float(hits[0] + 1) if len(hits) else math.inf
        found.append(
            _Run(best - history.picked(table), best - reached, first, history.proposed, seconds)
        )
    return found


def top_quality(table: Table, share: float = TOP_SHARE) -> float:
    """The quality that so large a share of the functions has or surpasses."""
    count = max(1, round(len(table.functions) * share))
    return float(np.sort(table.quality)[-count])


def _curves(name: str, runs: Sequence[_Run], budget: int) -> Curves:
    def padded(curve: np.ndarray) -> np.ndarray:
        # A space that ends before the budget leaves what was found.
        return np.pad(curve, (0, budget - len(curve)), mode="edge")

    trained = sum(len(run.regret) for run in runs)
    return Curves(
        name=name,
        regret=np.array([padded(run.regret) for run in runs]),
        reached=np.array([padded(run.reached) for run in runs]),
        first=np.array([run.first for run in runs]),
        screened=sum(run.proposed for run in runs) / trained,
        seconds=sum(run.seconds for run in runs) / trained,
    )


def summary(curves: Sequence[Curves]) -> list[dict[str, Any]]:
    """For each strategy the medians with their intervals; JSON-ready, best first."""
    rows = []
    for each in curves:
        row: dict[str, Any] = {
            "name": each.name,
            "repeats": len(each.first),
            "first_top": median_interval(each.first[:, None])[:, 0].tolist(),
            "found_top": float(np.isfinite(each.first).mean()),
            "proposals_per_evaluation": each.screened,
            "milliseconds_per_evaluation": each.seconds * 1e3,
        }
        for evaluations in CHECKPOINTS:
            if evaluations <= each.regret.shape[1]:
                column = each.regret[:, evaluations - 1 : evaluations]
                row[f"regret_{evaluations}"] = median_interval(column)[:, 0].tolist()
        rows.append(row)
    return sorted(rows, key=lambda row: (row["first_top"][0], -row["found_top"]))


def median_interval(samples: np.ndarray) -> np.ndarray:
    """Median over the rows, and its bootstrap interval: (3, columns) median, low, high."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(samples), size=(_RESAMPLES, len(samples)))
    # Sorted rows make the median of a resample that of its row numbers: infinity is no trouble,
    # and long curves take no more memory than one.
    ordered = np.sort(samples, axis=0)
    ranks = np.sort(np.median(np.sort(drawn, axis=1), axis=1))
    low, high = np.quantile(ranks, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    middle = (len(samples) - 1) / 2
    return np.array([_at_rank(ordered, rank) for rank in (middle, low, high)])


def _at_rank(ordered: np.ndarray, rank: float) -> np.ndarray:
    below, above = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(above), above, (below + above) / 2)


@cache
def _table(path: Path) -> Table:
    return load_table(path)


def _one_thread() -> None:
    torch.set_num_threads(1)
