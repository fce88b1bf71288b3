"""Scores and measures of functions on a task, for docs/tasks.md.

    python benchmarks/task_figures.py --task digits-continual --rates 0.01,0.03 --seeds 3 relu gelu

Prints a row of a table for each function and rate: mean and deviation of the score over the seeds
from 0 on, and the means of the task's measures, all on the validation split.
"""

from __future__ import annotations

import argparse
from statistics import fmean, stdev

import torch

from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer
from actsearch.primitives import read_formula


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("functions", nargs="+")
    parser.add_argument("--task", required=True)
    parser.add_argument("--rates", help="by default the task's")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task(options.task)
    trainer = Trainer(task)
    rates = [float(rate) for rate in (options.rates or str(task.learning_rate)).split(",")]
    for name in options.functions:
        formula = read_formula(name).text
        for rate in rates:
            jobs = [
                Job(f"{name}/{rate}/{seed}", formula, seed, rate, (Rung(task.steps),))
                for seed in range(options.seeds)
            ]
            print(f"| {name} | {rate:g} | {row([trainer(job) for job in jobs])} |", flush=True)


def row(results: list[Result]) -> str:
    """Score, measures and seconds of the complete results, with their number if not all are."""
    complete = [result for result in results if result.status is Status.COMPLETE]
    if not complete:
        return results[0].reason
    scores = [result.scores[-1] for result in complete]
    spread = f" ± {stdev(scores):.4f}" if len(scores) > 1 else ""
    measures = [
        f"{name} {fmean(result.measures[name] for result in complete):.3f}"
        for name in complete[0].measures
    ]
    seconds = f"{fmean(result.seconds for result in complete):.1f} s"
    share = "" if len(complete) == len(results) else f" ({len(complete)} of {len(results)})"
    return " | ".join([f"{fmean(scores):.4f}{spread}{share}", *measures, seconds])


if __name__ == "__main__":
    main()
