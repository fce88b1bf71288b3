"""Who stands where, read from the journal. It holds no clock readings, so that equal runs give
equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..evaluators.result import Status
from ..primitives import infix, parse
from .journal import BASELINES, SEARCH, Entry, Journal


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """Best first: by rungs reached, then by score (less the penalty for cost, where the run weighs
    cost), then in the order of proposal.

    Results that diverged or failed do not rank and are left out.
    """
    standing = [(entry.standing, entry) for entry in entries]
    return [
        entry
        for place, entry in sorted(
            ((s, e) for s, e in standing if s is not None),
            key=lambda pair: (-pair[0][0], -pair[0][1], _number(pair[1])),
        )
    ]


def leaderboard(journal: Journal, count: int | None = None) -> dict[str, Any]:
    """Candidates and baselines by search score, then the finals if they were held; JSON-ready.

    Args:
        count: candidates to list; None for all that rank.
    """
    config = journal.attribute("config") or {}
    entries = journal.entries(SEARCH)
    candidates = ranked(entries)
    known = ranked(journal.entries(BASELINES))
    shown = candidates if count is None else candidates[:count]
    return {
        "space": config.get("space", {}).get("name"),
        "strategy": config.get("strategy", {}).get("name"),
        "task": config.get("task", {}).get("name"),
        "seed": config.get("seed"),
        "budget": config.get("budget"),
        "trained": len(entries),
        "unranked": len(entries) - len(candidates),
        "search": journal.attribute("search"),
        "candidates": [_row(rank, entry) for rank, entry in enumerate(shown, start=1)],
        "baselines": [_row(rank, entry) for rank, entry in enumerate(known, start=1)],
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


def _row(rank: int, entry: Entry) -> dict[str, Any]:
    row = {
        "rank": rank,
        "label": entry.label,
        "formula": infix(parse(entry.job.formula)),
        "canonical": entry.job.formula,
        "score": entry.result.score,
        "rungs": list(entry.result.scores),
        "complete": entry.result.status is Status.COMPLETE,
        "known": entry.details.get("known"),
    }
    if "penalty" in entry.details and entry.standing is not None:
        row["objective"] = entry.standing[1]
    return row
