"""How far a run is."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..primitives import infix, parse
from .journal import BASELINES, FINALS, SEARCH
from .leaderboard import ranked
from .run import Run


def run_status(run: Run) -> dict[str, Any]:
    """Counts, rejections and seconds of training, JSON-ready."""
    journal = run.journal
    config = journal.attribute("config") or {}
    entries, finals = journal.entries(SEARCH), journal.entries(FINALS)
    summary = journal.attribute("search")
    compared = journal.attribute("finals") is not None
    latest = summary or max(
        (entry.details for entry in entries),
        key=lambda details: details["index"],
        default={"proposed": 0, "rejected": {}},
    )
    wants_finals = config.get("finals", {}).get("finalists", 0) > 0
    ended = summary is not None and (compared or not wants_finals)
    best = next(iter(ranked(entries)), None)
    everything = [*entries, *finals, *journal.entries(BASELINES)]
    return {
        "state": "finished" if ended else "running" if run.in_use() else "stopped",
        "budget": config.get("budget"),
        "trained": len(entries),
        "exhausted": bool(summary and summary["exhausted"]),
        "proposed": latest["proposed"],
        "rejected": latest["rejected"],
        "ended": dict(Counter(str(entry.result.status) for entry in entries)),
        "best": best and {"formula": infix(parse(best.job.formula)), "score": best.result.score},
        "finals": len(finals),
        "compared": compared,
        "training_seconds": sum(entry.result.seconds for entry in everything),
    }
