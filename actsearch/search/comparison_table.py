"""What a comparison says: means, paired differences, who may be the best, how many seeds it takes.

JSON-ready, without clock readings, so that equal comparisons give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

from ..evaluators.result import Result
from ..evaluators.statistics import (
    compare,
    fewest_seeds,
    p_of_being_best,
    required_seeds,
    smallest_effect,
)
from .comparison import Outcome, Swept
from .comparison_config import ComparisonConfig, Entrant

BETTER, WORSE, NOT_SHOWN = "better", "worse", "not told apart"


def comparison_table(config: ComparisonConfig, outcome: Outcome) -> dict[str, Any]:
    """All figures of a comparison, functions by their mean score.

    A function that diverged or failed at any seed is listed last, with the reasons, but neither
    ranked nor compared. Holm's correction covers the differences from the reference.
    """
    anchors = config.task.anchors
    rows = [
        _row(entrant, outcome.swept[entrant.label], outcome.finals[entrant.label], anchors)
        for entrant in outcome.entrants
    ]
    sound = sorted((row for row in rows if not row["unsound"]), key=lambda row: -row["mean"])
    scores = {row["label"]: row["scores"] for row in sound}
    chances = p_of_being_best(scores) if scores else {}
    differences = _differences(config, scores)
    for row in rows:
        row["difference"] = differences.get(row["label"])
        row["p_of_being_best"] = chances.get(row["label"])
    best = sound[0]["label"] if sound else None
    tied = [label for label, p in chances.items() if p >= 1 - config.confidence]
    table = {
        "task": _short(config.task.name),
        "steps": config.steps,
        "seed": config.seed,
        "seeds": config.seeds,
        "sweep_seeds": config.sweep_seeds,
        "confidence": config.confidence,
        "power": config.power,
        "reference": config.reference,
        "best": best,
        "tied_with_best": [label for label in tied if label != best],
        "functions": [*sound, *(row for row in rows if row["unsound"])],
        "merged": dict(config.merged),
        "left_out": dict(config.left_out),
        "halving": list(outcome.halving),
    }
    return {**table, "verdict": _verdict(table)}


def _short(task: str) -> str:
    """A user's file without its folders, so that equal comparisons anywhere give equal bytes."""
    file, colon, name = task.rpartition(":")
    return f"{Path(file).name}:{name}" if colon else task


def _row(
    entrant: Entrant, swept: Swept, results: Sequence[Result], anchors: Sequence[str]
) -> dict[str, Any]:
    sound = [result for result in results if result.standing is not None]
    scores = [result.score for result in sound if result.score is not None]
    parts = np.mean([result.parts for result in sound], axis=0).tolist() if sound else []
    return {
        "label": entrant.label,
        "formula": entrant.formula,
        "learning_rate": swept.best,
        "at_edge": swept.best is not None and swept.at_edge,
        "sweep": [{"rate": rate, "score": score} for rate, score in swept.scores.items()],
        "mean": fmean(scores) if scores else None,
        "deviation": stdev(scores) if len(scores) > 1 else None,
        "scores": scores,
        "unsound": _unsound(results),
        "parts": dict(zip(anchors, parts, strict=True)) if parts else {},
        "measures": _measures(sound),
        "curve": _mean_curve(sound),
    }


def _unsound(results: Sequence[Result]) -> list[str]:
    """Why there is no score, and at which seeds; for a function without a rate, once."""
    if not results:
        return ["diverged or failed at every learning rate of the sweep"]
    places: dict[str, list[str]] = {}
    for place, result in enumerate(results, 1):
        if result.standing is None:
            reason = f"{result.status}, {result.reason or 'no reason given'}"
            places.setdefault(reason, []).append(str(place))
    return [
        f"seed{'s' if len(found) > 1 else ''} {', '.join(found)}: {reason}"
        for reason, found in places.items()
    ]


def _measures(results: Sequence[Result]) -> dict[str, float]:
    """Means over the seeds of the task's further figures, of those that every seed has."""
    found: list[Mapping[str, float]] = [getattr(result, "measures", {}) for result in results]
    names = [name for name in found[0] if all(name in each for each in found)] if found else []
    return {name: fmean(each[name] for each in found) for name in names}


def _mean_curve(results: Sequence[Result]) -> list[list[float]]:
    """[step, mean training loss over the seeds], as far as all of them got."""
    return [
        [points[0][0], fmean(loss for _, loss in points)]
        for points in zip(*(result.curve for result in results), strict=False)
    ]


def _differences(
    config: ComparisonConfig, scores: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, Any]]:
    """By label, the paired difference from the reference; none if the reference has no scores."""
    reference = config.reference
    if reference not in scores:
        return {}
    pairs = [(name, reference) for name in scores if name != reference]
    found = {}
    for each in compare(scores, pairs, config.confidence):
        # What Holm's correction asks of the smallest p: the hardest that it can become.
        level = (1 - config.confidence) / len(pairs)
        deviation = stdev(np.subtract(scores[each.name], scores[reference]).tolist())
        sure = each.p_holm < 1 - config.confidence
        found[each.name] = {
            **{key: value for key, value in asdict(each).items() if key != "better"},
            "deviation": deviation,
            "says": (BETTER if each.effect > 0 else WORSE) if sure else NOT_SHOWN,
            "required_seeds": required_seeds(each.effect, deviation, level, config.power),
            "smallest_effect": smallest_effect(deviation, config.seeds, level, config.power),
        }
    return found


def _verdict(table: Mapping[str, Any]) -> list[str]:
    """Sentences, the most important first."""
    ranked = [row for row in table["functions"] if not row["unsound"]]
    if not ranked:
        return ["No claim: no function trained at every seed."]
    best = ranked[0]
    tied = ", ".join(table["tied_with_best"]) or "none"
    sentences = [f"Highest mean: {best['label']} ({best['mean']:.4f}). Tied with it: {tied}."]
    differences = [row["difference"] for row in ranked if row["difference"]]
    reference = table["reference"]
    if reference not in {row["label"] for row in ranked}:
        sentences.append(f"Nothing is compared with {reference}: it did not train at every seed.")
    elif differences:
        kinds = []
        for kind in (BETTER, WORSE, NOT_SHOWN):
            names = [each["name"] for each in differences if each["says"] == kind]
            if names:
                kinds.append(f"{len(names)} {kind} ({', '.join(names)})")
        sentences.append(f"Against {reference}: {'; '.join(kinds)}.")
        sentences.append(_sharpness(table, differences))
    lost = [row["label"] for row in table["functions"] if row["unsound"]]
    if lost:
        sentences.append(f"Without a score at some seed, so not ranked: {', '.join(lost)}.")
    return sentences


def _sharpness(table: Mapping[str, Any], differences: Sequence[Mapping[str, Any]]) -> str:
    count = len(differences)
    found = [d["smallest_effect"] for d in differences if d["smallest_effect"] is not None]
    if not found:
        fewest = fewest_seeds((1 - table["confidence"]) / count)
        return (
            f"{table['seeds']} seeds cannot make {'any of ' if count > 1 else ''}{count} "
            f"difference{'s' if count > 1 else ''} significant after "
            f"correction; take --seeds {fewest} or more."
        )
    return (
        f"{table['seeds']} seeds find a difference from {table['reference']} of "
        f"{median(found):.4f} in {table['power']:.0%} of cases (median over the functions)."
    )
