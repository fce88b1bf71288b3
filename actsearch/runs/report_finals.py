"""The finals on the page about a run: arms, intervals, and how well the search foretold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from scipy.special import stdtrit

from ..primitives import infix, parse
from . import plots
from .journal import Journal
from .leaderboard import leaderboard


def compared_finals(finals: Mapping[str, Any]) -> dict[str, Any]:
    """Arms with formulas, intervals and comparisons, and the two pictures."""
    references = list(dict.fromkeys(c["against"] for c in finals["comparisons"]))
    found = {(c["name"], c["against"]): c for c in finals["comparisons"]}
    arms = [
        {
            **arm,
            "canonical": arm["formula"],
            "formula": infix(parse(arm["formula"])),
            "interval": _interval(arm, finals["confidence"]),
            "comparisons": [found.get((arm["label"], reference)) for reference in references],
        }
        for arm in finals["arms"]
    ]
    shown = [arm for arm in arms if arm["candidate"] or arm["label"] in references]
    values = [value for arm in shown for value in (*arm["scores"], *(arm["interval"] or ()))]
    return {
        "arms": arms,
        "references": references,
        "best": finals["best_baseline"],
        "confidence": f"{finals['confidence']:.0%}",
        "seeds": max((len(arm["scores"]) + arm["unsound"] for arm in arms), default=0),
        "first": next((arm for arm in arms if arm["candidate"] and not arm["unsound"]), None),
        "means": Markup(plots.means_picture(arms, min(values, default=None))),
        "effects": Markup(plots.effects_picture(finals["comparisons"])) if references else None,
    }


def _interval(arm: Mapping[str, Any], confidence: float) -> tuple[float, float] | None:
    """Student's interval of an arm's mean; None from fewer than two seeds."""
    count = len(arm["scores"])
    if count < 2:
        return None
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * arm["deviation"] / math.sqrt(count)
    return arm["mean"] - half, arm["mean"] + half


def transfer(journal: Journal) -> dict[str, Any] | None:
    """Scores of the finals' arms where they were found and where they were measured."""
    board = leaderboard(journal)
    finals = board["finals"]
    if not finals or not board["finals_task"]:
        return None
    found = {row["label"]: row for row in (*board["candidates"], *board["baselines"])}
    rows = [
        {**arm, "found": found.get(arm["label"])} for arm in finals["arms"] if not arm["unsound"]
    ]
    return {
        "found_on": board["task"],
        "measured_on": board["finals_task"],
        "anchors_there": list(dict.fromkeys(n for row in rows for n in row["parts"])),
        "anchors_here": list(
            dict.fromkeys(n for row in rows if row["found"] for n in row["found"]["parts"])
        ),
        "rows": rows,
    }
