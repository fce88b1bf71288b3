"""Who stands where, read from the journal. It holds no clock readings, so that equal runs give
equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..evaluators.cost_model import CostModel
from ..evaluators.pareto import front
from ..evaluators.result import Status
from ..primitives import infix, node_count, parse
from .journal import BASELINES, SEARCH, Entry, Journal


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """Best first: by rungs reached, then by score (less the penalty for cost, where the run weighs
    cost), then in the order of proposal.

    Results that were turned down, diverged or failed do not rank and are left out.
    """
    standing = [(entry.standing, entry) for entry in entries]
    return [
        entry
        for place, entry in sorted(
            ((s, e) for s, e in standing if s is not None),
            key=lambda pair: (-pair[0][0], -pair[0][1], _number(pair[1])),
        )
    ]


@dataclass(frozen=True)
class TradeOff:
    """What a complete training scored, and what its candidate or known activation costs.

    Args:
        complexity: nodes of the formula, a repeated part counted every time.
        cost: nanoseconds per element by the run's table of operators; None if the search does not
            look at cost.
        on_front: no other complete training is as good in score, complexity and cost, and better
            in one of them.
    """

    entry: Entry
    baseline: bool
    complexity: int
    cost: float | None
    on_front: bool


def trade_offs(journal: Journal) -> list[TradeOff]:
    """Every complete training of the search and of the baselines, highest score first.

    Scores are those of the one seed, from which nothing is taken for cost.
    """
    model = _cost_model(journal)
    found = [
        (entry, study == BASELINES, *_prices(entry, model))
        for study in (SEARCH, BASELINES)
        for entry in ranked(journal.entries(study))
        if entry.result.status is Status.COMPLETE
    ]
    points = [
        (entry.result.scores[-1], -complexity, -(cost or 0.0))
        for entry, _, complexity, cost in found
    ]
    best = set(front(points))
    made = [TradeOff(*facts, on_front=i in best) for i, facts in enumerate(found)]
    return sorted(made, key=lambda one: -one.entry.result.scores[-1])


def leaderboard(journal: Journal, count: int | None = None) -> dict[str, Any]:
    """Candidates and baselines by search score, their Pareto front, and the finals if they were
    held; JSON-ready.

    Args:
        count: candidates to list; None for all that rank. The front is always whole.
    """
    config = journal.attribute("config") or {}
    entries = journal.entries(SEARCH)
    candidates = ranked(entries)
    known = ranked(journal.entries(BASELINES))
    model = _cost_model(journal)
    anchors = config.get("task", {}).get("anchors", ())
    members = [one for one in trade_offs(journal) if one.on_front]
    on_front = {one.entry.job.key for one in members}

    shown = candidates if count is None else candidates[:count]
    places = {
        entry.job.key: rank for found in (candidates, known) for rank, entry in enumerate(found, 1)
    }

    def row(entry: Entry) -> dict[str, Any]:
        key = entry.job.key
        parts = dict(zip(anchors, entry.result.parts, strict=False))
        return {**_row(places[key], entry, model, key in on_front), "parts": parts}

    return {
        "space": config.get("space", {}).get("name"),
        "strategy": config.get("strategy", {}).get("name"),
        "task": config.get("task", {}).get("name"),
        "finals_task": config.get("finals", {}).get("task", {}).get("name") or None,
        "seed": config.get("seed"),
        "budget": config.get("budget"),
        "trained": len(entries),
        "unranked": len(entries) - len(candidates),
        "search": journal.attribute("search"),
        "candidates": [row(entry) for entry in shown],
        "baselines": [row(entry) for entry in known],
        "front": [{**row(one.entry), "baseline": one.baseline} for one in members],
        "finals": journal.attribute("finals"),
    }


def standings(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a leaderboard in one ranking, candidates first where equal, with `baseline`."""
    rows = [
        {**row, "baseline": kind == "baselines"}
        for kind in ("candidates", "baselines")
        for row in board[kind]
    ]
    return sorted(rows, key=lambda row: (-len(row["rungs"]), -row.get("objective", row["score"])))


def final_order(journal: Journal) -> list[Entry]:
    """Candidates best first: finalists by their mean in the finals, then by search score."""
    candidates = ranked(journal.entries(SEARCH))
    finals = journal.attribute("finals") or {"arms": []}
    places = {
        arm["label"]: place
        for place, arm in enumerate(finals["arms"])
        if arm["candidate"] and not arm["unsound"]
    }
    return sorted(candidates, key=lambda entry: places.get(entry.label, len(finals["arms"])))


def _number(entry: Entry) -> int:
    return int(entry.details["index"])


def _cost_model(journal: Journal) -> CostModel | None:
    """The run's table of operators, which is complete where the search looks at cost."""
    config = journal.attribute("config") or {}
    search = config.get("search", {})
    looks_at_cost = search.get("cost_weight") or "cost" in search.get("objectives", ())
    return CostModel(config["costs"]) if looks_at_cost else None


def _prices(entry: Entry, model: CostModel | None) -> tuple[int, float | None]:
    expr = parse(entry.job.formula)
    return node_count(expr), None if model is None else model.cost(expr)


def _row(rank: int, entry: Entry, model: CostModel | None, on_front: bool) -> dict[str, Any]:
    complexity, cost = _prices(entry, model)
    row = {
        "rank": rank,
        "label": entry.label,
        "formula": infix(parse(entry.job.formula)),
        "canonical": entry.job.formula,
        "score": entry.result.score,
        "rungs": list(entry.result.scores),
        "complete": entry.result.status is Status.COMPLETE,
        "known": entry.details.get("known"),
        "complexity": complexity,
        "front": on_front,
    }
    if cost is not None:
        row["modelled_cost"] = cost
    if "penalty" in entry.details and entry.standing is not None:
        row["objective"] = entry.standing[1]
    return row
