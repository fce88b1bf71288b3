"""Rank correlation of cheap scores with full ones: of rungs, other seeds and other tasks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from ..errors import ConfigError
from ..evaluators.result import Rung
from ..evaluators.table import Table

TOP, KEPT = 0.01, 1 / 3


def proxy_rows(tables: Mapping[str, Table]) -> list[dict[str, Any]]:
    """For each proxy its rank correlation with what it stands for; JSON-ready.

    Each row has `of` (the table whose full score is predicted), `proxy`, `steps` (share of the
    full training), `tau` (Kendall's tau-b) and `recall` (share of the best `TOP` of the functions
    among the best `KEPT` by the proxy), both means over the seeds. Rungs are compared with the
    full score of the same seed and of the other seeds, for a search hopes for the latter.

    Raises:
        ConfigError: tables are of different spaces.
    """
    spaces = {str(table.settings["space"]) for table in tables.values()}
    if len(spaces) > 1:
        raise ConfigError(f"the tables are of different spaces: {' and '.join(sorted(spaces))}")
    rows = []
    for name, table in tables.items():
        rows += _rungs(name, table)
        rows += _seeds(name, table)
    for (name, table), (other_name, other) in permutations(tables.items(), 2):
        agreement = _agreement(_shared(other, table), table.quality)
        rows.append({"of": name, "proxy": f"task {other_name}", "steps": None, **agreement})
    return rows


def _rungs(name: str, table: Table) -> list[dict[str, Any]]:
    rows = []
    scores = _filled(table.scores)
    for place, rung in enumerate(table.rungs[:-1]):
        found = [
            _agreement(scores[:, seed, place], scores[:, seed, -1])
            for seed in range(len(table.seeds))
        ]
        proxy = f"{rung.steps} steps" + (", own schedule" if rung.own_schedule else "")
        rows.append({"of": name, "proxy": proxy, "steps": _share(rung, table), **_mean(found)})
    return rows


def _seeds(name: str, table: Table) -> list[dict[str, Any]]:
    full = _filled(table.scores)[:, :, -1]
    found = [
        _agreement(full[:, one], full[:, other])
        for one, other in permutations(range(len(table.seeds)), 2)
    ]
    return [{"of": name, "proxy": "another seed", "steps": 1.0, **_mean(found)}] if found else []


def _agreement(proxy: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    best = np.argsort(-truth, kind="stable")[: max(1, round(len(truth) * TOP))]
    kept = np.argsort(-proxy, kind="stable")[: round(len(truth) * KEPT)]
    return {
        "tau": float(kendalltau(proxy, truth).statistic),
        "recall": len(np.intersect1d(best, kept)) / len(best),
    }


def _filled(scores: np.ndarray) -> np.ndarray:
    """Scores with the lowest of all where a training had diverged."""
    return np.where(np.isnan(scores), np.nanmin(scores), scores)


def _shared(other: Table, table: Table) -> np.ndarray:
    return np.array([other.quality[other.function_of(text)] for text in table.functions])


def _share(rung: Rung, table: Table) -> float:
    return rung.steps / table.rungs[-1].steps


def _mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([each[key] for each in found])) for key in found[0]}
