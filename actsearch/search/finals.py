"""The claim: finalists and known activations, trained alike, on data the search never saw."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..evaluators.result import Job, Result
from ..evaluators.statistics import Comparison, compare
from ..runs.journal import FINALS, Entry
from .config import Config, FinalsSettings


@dataclass(frozen=True)
class Arm:
    """An activation in the finals, a candidate of the search or a baseline."""

    label: str
    formula: str
    candidate: bool


@dataclass(frozen=True)
class FinalJob:
    """A training of an arm."""

    arm: Arm
    job: Job


def contenders(entries: Sequence[Entry], count: int, baselines: Container[str]) -> list[Arm]:
    """The first so many of the ranked entries that are worth another look, as arms.

    Left out are candidates that equal a baseline, and those whose training was step for step
    that of a better one: min(f, 1e9) and its like, which differ from f only where no input goes.
    """
    arms: list[Arm] = []
    trained: set[tuple[object, ...]] = set()
    for entry in entries:
        traces = (entry.result.scores, entry.result.curve)
        if entry.details["known"] in baselines or traces in trained:
            continue
        trained.add(traces)
        arms.append(Arm(entry.label, entry.job.formula, candidate=True))
    return arms[:count]


def sweep_jobs(arms: Sequence[Arm], config: Config, seeds: Sequence[int]) -> list[FinalJob]:
    """Every arm at every learning rate of the sweep, scored on the validation split."""
    rate = config.finals.learning_rate or config.training.learning_rate
    rates = [rate * factor for factor in config.finals.learning_rate_factors]
    return [
        _job("sweep", arm, rate, number, seed, config, "validation")
        for rate in rates
        for arm in arms
        for number, seed in enumerate(seeds)
    ]


def final_jobs(
    arms: Sequence[Arm],
    config: Config,
    seeds: Sequence[int],
    sweep: Sequence[FinalJob],
    results: Mapping[str, Result],
) -> list[FinalJob]:
    """The best candidates of the sweep and all baselines, each at its best learning rate.

    Args:
        arms: in the order of the search's ranking, which breaks ties.
        seeds: fresh ones, the same for every arm.
        sweep, results: the jobs of `sweep_jobs`, and what came of them by key.
    """
    best = {arm: _best_rate(arm, sweep, results) for arm in arms}
    candidates = sorted(
        (arm for arm in arms if arm.candidate and best[arm][1] > -math.inf),
        key=lambda arm: -best[arm][1],
    )[: config.finals.finalists]
    return [
        _job("final", arm, best[arm][0], number, seed, config, "final")
        for number, seed in enumerate(seeds)
        for arm in (*candidates, *(a for a in arms if not a.candidate))
    ]


def finals_table(
    jobs: Sequence[FinalJob], results: Mapping[str, Result], config: Config
) -> dict[str, Any]:
    """Means over seeds, paired comparisons and what they say, JSON-ready.

    Finalists are compared with the best baseline and with the first of the space's references. An
    arm that diverged or failed at any seed is listed, but neither compared nor a baseline to
    beat. Holm's correction covers all comparisons of the table. The best baseline is chosen by
    these same scores, which favours it.
    """
    confidence = config.finals.confidence
    anchors = (config.finals.task if config.finals.task.name else config.task).anchors
    arms = list(dict.fromkeys(final.arm for final in jobs))
    by_arm = {arm: [final.job for final in jobs if final.arm == arm] for arm in arms}
    rows = [_row(arm, by_arm[arm], results, anchors) for arm in arms]
    rows.sort(key=lambda row: -row["mean"] if row["mean"] is not None else math.inf)
    sound = {row["label"]: row["scores"] for row in rows if not row["unsound"]}
    baselines = [row["label"] for row in rows if not row["candidate"] and row["label"] in sound]
    finalists = [row["label"] for row in rows if row["candidate"] and row["label"] in sound]
    best = baselines[0] if baselines else None
    reference = config.space.references[0]
    references = [name for name in dict.fromkeys((best, reference)) if name in baselines]
    pairs = [(name, reference) for reference in references for name in finalists if reference]
    comparisons = compare(sound, pairs, confidence) if pairs else []
    return {
        "confidence": confidence,
        "best_baseline": best,
        "arms": rows,
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "verdict": _verdict(best, comparisons, confidence)
        if jobs
        else "No claim: no candidate ranks.",
    }


def _job(
    stage: str, arm: Arm, rate: float, number: int, seed: int, config: Config, split: str
) -> FinalJob:
    key = f"{stage}/{arm.label}/{rate!r}/{number}"
    task = FINALS if config.finals.task.name else ""
    rungs = (config.final_rung,)
    return FinalJob(arm, Job(key, arm.formula, seed, rate, rungs, split=split, task=task))


def _best_rate(
    arm: Arm, sweep: Sequence[FinalJob], results: Mapping[str, Result]
) -> tuple[float, float]:
    """(learning rate, mean score) of the best rate at which no seed diverged or failed."""
    by_rate: dict[float, list[float]] = {}
    for final in sweep:
        if final.arm == arm:
            result = results[final.job.key]
            score = result.score if result.standing is not None else None
            by_rate.setdefault(final.job.learning_rate, []).append(
                -math.inf if score is None else score
            )
    return max(((rate, float(np.mean(s))) for rate, s in by_rate.items()), key=lambda best: best[1])


def _row(
    arm: Arm, jobs: Sequence[Job], results: Mapping[str, Result], anchors: Sequence[str]
) -> dict[str, Any]:
    ended = [results[job.key] for job in jobs]
    sound = [r for r in ended if r.standing is not None]
    scores = [r.score for r in sound if r.score is not None]
    parts = np.mean([r.parts for r in sound], axis=0).tolist() if sound else []
    return {
        "label": arm.label,
        "formula": arm.formula,
        "candidate": arm.candidate,
        "learning_rate": jobs[0].learning_rate,
        "mean": float(np.mean(scores)) if scores else None,
        "deviation": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        "scores": scores,
        "parts": dict(zip(anchors, parts, strict=True)) if parts else {},
        "unsound": len(ended) - len(scores),
    }


def smallest_p(finals: FinalsSettings) -> float:
    """The smallest corrected p that the finals can give: all differences of one sign."""
    return min(1.0, 2 / 2**finals.seeds * 2 * finals.finalists)


def _verdict(best: str | None, comparisons: Sequence[Comparison], confidence: float) -> str:
    if best is None:
        return "No claim: no baseline trained at every seed."
    if not comparisons:
        return f"No claim: no finalist trained at every seed; the best baseline is {best}."
    sentences = []
    for reference in dict.fromkeys(comparison.against for comparison in comparisons):
        against = [c for c in comparisons if c.against == reference]
        title = f"{reference}, the best baseline" if reference == best else reference
        winners = [c for c in against if c.better]
        top = max(winners or against, key=lambda c: c.effect)
        figures = (
            f"{top.effect:+.4f}, {confidence:.0%} interval {top.low:+.4f} to {top.high:+.4f}, "
            f"corrected p {'< 0.001' if top.p_holm < 0.001 else f'{top.p_holm:.3f}'}"
        )
        if winners:
            sentences.append(
                f"{len(winners)} of {len(against)} finalists beat {title}; most of all "
                f"{top.name} ({figures})."
            )
        else:
            sentences.append(
                f"Nothing beat {title}: the nearest is {top.name}, not better ({figures})."
            )
    return " ".join(sentences)
