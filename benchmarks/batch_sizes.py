"""How layers stand small batches: the score of each at several batch sizes.

    python benchmarks/batch_sizes.py bn_relu evonorm_b0 evonorm_s0 RUN --seeds 3

A layer is a known name, a formula, or a run directory, whose best candidate is meant. Every
training sees the same number of examples; the learning rate falls with the root of the batch size,
as is usual for Adam. Writes a table to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import numpy as np
import torch

from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Result, Rung
from actsearch.evaluators.task_trainers import TaskTrainers
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer
from actsearch.primitives import Expr, infix, parse, read_formula
from actsearch.runs.leaderboard import final_order
from actsearch.runs.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers", nargs="+")
    parser.add_argument("--task", default="anchors-mnist1d")
    parser.add_argument("--anchors", default="resnet")
    parser.add_argument("--sizes", default="1,2,4,16,128")
    parser.add_argument("--examples", type=int, default=8_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [int(size) for size in options.sizes.split(",")]
    layers = {name: _read(name) for name in options.layers}
    trainers, jobs = {}, []
    for size in sizes:
        task = load_task(options.task, None, tuple(options.anchors.split(",")))
        rate = task.learning_rate * math.sqrt(size / task.batch_size)
        task.batch_size = size
        trainers[str(size)] = Trainer(task, normalises=True)
        rungs = (Rung(max(1, options.examples // size)),)
        jobs += [
            Job(f"{name}/{size}/{seed}", expr.text, seed, rate, rungs, task=str(size))
            for name, expr in layers.items()
            for seed in range(1, options.seeds + 1)
        ]
    results: dict[str, Result] = {}
    with RayPool(TaskTrainers(trainers), workers=options.workers) as pool:
        for job in jobs:
            pool.submit(job)
        while len(results) < len(jobs):
            results.update({result.key: result for result in pool.collect(timeout=5)})
            print(f"{len(results)} of {len(jobs)}", end="\r", flush=True)
    lines = [
        f"# Batch sizes: {options.task}, {options.anchors}",
        "",
        f"`python benchmarks/batch_sizes.py {' '.join(options.layers)} --seeds {options.seeds}`, "
        f"torch {torch.__version__}. Mean ± standard deviation of {options.seeds} seeds, "
        f"validation split, {options.examples:,} examples each.",
        "",
        f"| layer | {' | '.join(str(size) for size in sizes)} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    for name, expr in layers.items():
        cells = []
        for size in sizes:
            seeds = range(1, options.seeds + 1)
            ended = [results[f"{name}/{size}/{seed}"].score for seed in seeds]
            scores = [score for score in ended if score is not None]
            lost = len(ended) - len(scores)
            cell = "–"
            if len(scores) > 1:
                cell = f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f}"
            cells.append(cell + (f" ({lost} diverged)" if lost else ""))
        shown = f"`{infix(expr)}`" if Path(name).is_dir() else name
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    path = Path(__file__).parent / "results" / f"batch-sizes-{options.task}.md"
    path.write_text(text)
    print(text)


def _read(text: str) -> Expr:
    if not Path(text).is_dir():
        return read_formula(text)
    with Run.open(Path(text)) as run:
        return parse(final_order(run.journal)[0].job.formula)


if __name__ == "__main__":
    main()
