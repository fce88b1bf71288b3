"""Which early scores predict the full training: rank correlation and top recall of rungs.

    python benchmarks/rungs.py --task mnist1d --candidates 72

Trains random candidates that pass the screens: in full from two seeds, with scores on the way,
and in short trainings that have a learning-rate schedule of their own. Writes a table to
benchmarks/results/. Kendall's tau is against the full score of the same seed; recall is the share
of the best tenth (by the mean of both full scores) that a rung would let through if it kept the
best third.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from random_candidates import random_candidates
from scipy.stats import kendalltau

from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Result, Rung
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer
from actsearch.primitives.spaces import UnaryBinary

SEEDS = (1, 2)
SHARES_ALONE = (1 / 16, 1 / 8, 1 / 4)
SHARES_ON_THE_WAY = (1 / 8, 1 / 4, 1 / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="mnist1d")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--candidates", type=int, default=72)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task(options.task, options.data)
    formulas = [
        str(expr) for expr in random_candidates(UnaryBinary(2), options.candidates, options.seed)
    ]

    full = task.steps
    on_the_way = tuple(Rung(max(1, round(full * share))) for share in SHARES_ON_THE_WAY)
    jobs = []
    for number, formula in enumerate(formulas):
        base = Job("", formula, 0, task.learning_rate, ())
        for seed in SEEDS:
            rungs = (*on_the_way, Rung(full)) if seed == SEEDS[0] else (Rung(full),)
            jobs.append(replace(base, key=f"{number}/full/{seed}", seed=seed, rungs=rungs))
        for share in SHARES_ALONE:
            steps = max(1, round(full * share))
            jobs.append(replace(base, key=f"{number}/{steps}", seed=SEEDS[0], rungs=(Rung(steps),)))
    results: dict[str, Result] = {}
    with RayPool(Trainer(task), workers=options.workers) as pool:
        for job in jobs:
            pool.submit(job)
        while len(results) < len(jobs):
            results.update({result.key: result for result in pool.collect()})
            if len(results) % 20 == 0 or len(results) == len(jobs):
                print(f"{len(results)}/{len(jobs)} trainings", flush=True)

    numbers = range(len(formulas))
    whole = {
        seed: np.array([_last(results[f"{n}/full/{seed}"]) for n in numbers]) for seed in SEEDS
    }
    truth, target = whole[SEEDS[0]], np.mean(list(whole.values()), axis=0)
    rows = [("other seed", "full training", whole[SEEDS[1]], full)]
    for place, rung in enumerate(on_the_way):
        scores = np.array([_at(results[f"{n}/full/{SEEDS[0]}"], place) for n in numbers])
        rows.append((f"{rung.steps} steps", "on the way", scores, rung.steps))
    for share in SHARES_ALONE:
        steps = max(1, round(full * share))
        scores = np.array([_last(results[f"{n}/{steps}"]) for n in numbers])
        rows.append((f"{steps} steps", "schedule of its own", scores, steps))

    lines = [
        f"# Rungs of {options.task}: {len(formulas)} random candidates, full training {full} steps",
        "",
        f"Full scores from {np.quantile(truth, 0.1):.3f} (10th percentile) over "
        f"{np.median(truth):.3f} (median) to {truth.max():.3f} (best). "
        f"`python benchmarks/rungs.py --task {options.task} --candidates {options.candidates} "
        f"--seed {options.seed}`, torch {torch.__version__}.",
        "",
        "| score | schedule | share of the steps | tau | best tenth in its best third |",
        "|---|---|---|---|---|",
    ]
    for name, schedule, scores, steps in rows:
        tau = kendalltau(scores, truth).statistic
        lines.append(
            f"| {name} | {schedule} | {steps / full:.2f} | {tau:.2f} | "
            f"{_recall(scores, target):.0%} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    out = Path(__file__).parent / "results" / f"rungs-{options.task}.md"
    out.write_text(text)
    print(f"wrote {out}")


def _last(result: Result) -> float:
    return result.scores[-1] if result.standing else 0.0


def _at(result: Result, place: int) -> float:
    return result.scores[place] if len(result.scores) > place else 0.0


def _recall(scores: np.ndarray, target: np.ndarray) -> float:
    top = np.argsort(-target)[: max(1, len(target) // 10)]
    kept = np.argsort(-scores)[: len(scores) // 3]
    return len(set(top) & set(kept)) / len(top)


if __name__ == "__main__":
    main()
