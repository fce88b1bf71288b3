"""How many of the candidates that a run's protocols turned down would have ended among its best.

    python benchmarks/false_rejections.py RUN --sample 60

Trains candidates that were turned down to the end, with the run's seed and rate, and compares them
with those that passed and with the known layers. Writes a table to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Result, Status
from actsearch.evaluators.training import Trainer
from actsearch.primitives import infix, parse
from actsearch.runs.journal import BASELINES, SEARCH, Entry
from actsearch.runs.run import Run
from actsearch.search.config import load_config, reload_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sample", type=int, default=60, help="of each protocol")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with Run.open(options.run) as run:
        config = load_config(run.config())
        searched, known = run.journal.entries(SEARCH), run.journal.entries(BASELINES)
    task = reload_task(config.task)
    rng = np.random.default_rng(0)
    groups: dict[str, list[Entry]] = {}
    for entry in searched:
        if entry.result.status is Status.REJECTED:
            name = next(check.name for check in entry.result.checks if not check.passed)
            groups.setdefault(name, []).append(entry)
    samples = {
        name: [entries[i] for i in rng.permutation(len(entries))[: options.sample].tolist()]
        for name, entries in sorted(groups.items())
    }
    jobs = [
        replace(entry.job, protocols=None, thresholds=())
        for entries in samples.values()
        for entry in entries
    ]
    results: dict[str, Result] = {}
    with RayPool(
        Trainer(task, normalises=config.space.replaces_norm), workers=options.workers
    ) as pool:
        for job in jobs:
            pool.submit(job)
        while len(results) < len(jobs):
            results.update({result.key: result for result in pool.collect(timeout=5)})
            print(f"{len(results)} of {len(jobs)}", end="\r", flush=True)

    passed = sorted(_score(e.result) for e in searched if e.result.status is Status.COMPLETE)
    marks = {
        entry.label: _score(entry.result)
        for entry in known
        if entry.result.status is Status.COMPLETE
    }
    best_tenth = float(np.quantile(passed, 0.9))
    columns = {**dict(sorted(marks.items(), key=lambda mark: -mark[1])), "best tenth": best_tenth}
    lines = [
        f"# Rejected wrongly: {config.space.name} on {config.task.name}, "
        f"{', '.join(config.task.anchors)}",
        "",
        f"`python benchmarks/false_rejections.py RUN --sample {options.sample}`, torch "
        f"{torch.__version__}. {len(searched)} candidates, {len(passed)} of them complete "
        f"(median {np.median(passed):.3f}, best {passed[-1]:.4f}). Of those turned down a "
        "sample is trained to the end; the last columns count how many reach what a known layer "
        "scored, or the best tenth of what passed.",
        "",
        f"| | turned down | trained | diverged | median | best | "
        f"{' | '.join(f'{name} {mark:.3f}' for name, mark in columns.items())} |",
        f"|---|---|---|---|---|---|{'---|' * len(columns)}",
    ]
    for name, entries in samples.items():
        ended = [results[entry.job.key] for entry in entries]
        scores = [_score(result) for result in ended if result.status is Status.COMPLETE]
        counts = [sum(score >= mark for score in scores) for mark in columns.values()]
        lines.append(
            f"| {name} | {len(groups[name])} | {len(entries)} | {len(ended) - len(scores)} | "
            f"{np.median(scores):.3f} | {max(scores):.4f} | {' | '.join(map(str, counts))} |"
        )
    counts = [sum(score >= mark for score in passed) for mark in columns.values()]
    lines.append(
        f"| none: passed | | {len(passed)} | | {np.median(passed):.3f} | {passed[-1]:.4f} | "
        f"{' | '.join(map(str, counts))} |"
    )
    best = sorted(jobs, key=lambda job: -_score(results[job.key]))[:5]
    lines += ["", "The best of the turned down:", ""]
    lines += [f"* {_score(results[job.key]):.4f} `{infix(parse(job.formula))}`" for job in best]
    text = "\n".join(lines) + "\n"
    path = Path(__file__).parent / "results" / f"false-rejections-{config.task.name}.md"
    path.write_text(text)
    print(text)


def _score(result: Result) -> float:
    """Of a complete training; -inf of one that diverged."""
    whole = result.status is Status.COMPLETE and result.score is not None
    return float(result.score or 0.0) if whole else float("-inf")


if __name__ == "__main__":
    main()
