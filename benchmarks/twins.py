"""What the next layer absorbs: scores of a function beside those of its scaled and shifted twins.

    python benchmarks/twins.py --candidates 24

For random candidates f of the space, trains f, 3 f, -f and f + s (s its standard deviation under
N(0, 1)) from the same seed, and f from another seed. Writes mean absolute differences from f.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from random_candidates import random_candidates

from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Result, Rung
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer
from actsearch.primitives.analysis import gaussian_moments
from actsearch.primitives.spaces import UnaryBinary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="mnist1d")
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task(options.task)
    jobs, count = [], options.candidates
    for number, expr in enumerate(random_candidates(UnaryBinary(1), count, options.seed)):
        moments = gaussian_moments(expr)
        spread = (moments.second - moments.mean**2) ** 0.5
        twins = {
            "f": (str(expr), 1),
            "other seed": (str(expr), 2),
            "3 f": (f"mul(3, {expr})", 1),
            "-f": (f"neg({expr})", 1),
            "f + s": (f"add({spread!r}, {expr})", 1),
        }
        for name, (formula, seed) in twins.items():
            key = f"{number}/{name}"
            jobs.append(Job(key, formula, seed, task.learning_rate, (Rung(task.steps),)))
    results: dict[str, Result] = {}
    with RayPool(Trainer(task), workers=len(os.sched_getaffinity(0))) as pool:
        for job in jobs:
            pool.submit(job)
        while len(results) < len(jobs):
            results.update({result.key: result for result in pool.collect()})
    score = {key: result.scores[-1] if result.standing else 0.0 for key, result in results.items()}
    lines = [
        f"# Twins on {options.task}: {count} candidates",
        "",
        f"`python benchmarks/twins.py --task {options.task} --candidates {count}`, torch "
        f"{torch.__version__}. Difference of the full score from that of f.",
        "",
        "| twin | mean absolute difference | median | largest |",
        "|---|---|---|---|",
    ]
    for name in ("-f", "3 f", "other seed", "f + s"):
        gaps = np.array([abs(score[f"{n}/{name}"] - score[f"{n}/f"]) for n in range(count)])
        lines.append(f"| {name} | {gaps.mean():.4f} | {np.median(gaps):.4f} | {gaps.max():.4f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    (Path(__file__).parent / "results" / f"twins-{options.task}.md").write_text(text)


if __name__ == "__main__":
    main()
