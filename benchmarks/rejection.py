"""What becomes of random layers: which protocol turns down how many, at what cost, and wrongly.

    python benchmarks/rejection.py --layers 2000

Draws random graphs of the space `evonorm`, screens them, and trains what is left under the
rejection protocols of the slim preset; no strategy learns from it, so this is also random search.
A sample of what the protocols turned down is then trained to the end without them: the share of
them that ends as good as the best known layers is the share that was rejected wrongly. Writes a
table to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from actsearch.evaluators.new_functions import NewFunctionScreen
from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Protocols, Result, Status
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer, full_rungs
from actsearch.evaluators.verdict import StaticLimits
from actsearch.primitives import infix, known_layers, parse
from actsearch.primitives.spaces import EvoNorm

SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=2000)
    parser.add_argument("--series", default="B")
    parser.add_argument("--task", default="anchors-mnist1d")
    parser.add_argument("--anchors", default="")
    parser.add_argument("--fully", type=int, default=100, help="rejected ones trained to the end")
    parser.add_argument("--quality", type=float, default=0.2)
    parser.add_argument("--stability", type=int, default=100)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    anchors = tuple(options.anchors.split(",")) if options.anchors else ()
    task = load_task(options.task, None, anchors)
    protocols = Protocols(100, options.quality, options.stability, 1e8)

    rng = np.random.default_rng(0)
    space, reasons, accepted = EvoNorm(series=options.series), Counter[str](), []
    screen = NewFunctionScreen(StaticLimits())
    started = time.perf_counter()
    for _ in range(options.layers):
        expr = space.sample(rng).expr
        verdict = screen(expr)
        reasons[str(verdict.reason)] += 1
        if verdict.accepted:
            accepted.append(expr.text)
    screening = time.perf_counter() - started

    rungs = full_rungs(task)[-1:]
    known = {name: layer.expr.text for name, layer in known_layers().items()}
    base = Job("", "", SEED, task.learning_rate, rungs, protocols=protocols)
    jobs = [
        replace(base, key=key, formula=formula)
        for key, formula in (*known.items(), *((str(i), text) for i, text in enumerate(accepted)))
    ]
    with RayPool(Trainer(task, normalises=True), workers=options.workers) as pool:
        results = _train(pool, jobs)
        turned_down = [
            job for job in jobs if results[job.key].status is Status.REJECTED and job.key.isdigit()
        ]
        sample = [
            replace(turned_down[i], protocols=None)
            for i in rng.permutation(len(turned_down))[: options.fully].tolist()
        ]
        fully = _train(pool, sample)
    text = _report(options, reasons, screening, accepted, results, known, fully)
    path = Path(__file__).parent / "results" / f"rejection-{options.task}.md"
    path.write_text(text)
    print(text)


def _train(pool: RayPool, jobs: Sequence[Job]) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for job in jobs:
        pool.submit(job)
    while len(results) < len(jobs):
        for result in pool.collect(timeout=5):
            results[result.key] = result
        print(f"{len(results)} of {len(jobs)}", end="\r", flush=True)
    return results


def _report(
    options: argparse.Namespace,
    reasons: Counter[str],
    screening: float,
    accepted: Sequence[str],
    results: dict[str, Result],
    known: dict[str, str],
    fully: dict[str, Result],
) -> str:
    found = {key: result for key, result in results.items() if key.isdigit()}
    status = Counter(result.status for result in found.values())
    lines = [
        f"# What becomes of {options.layers:,} random layers: series {options.series}, "
        f"{options.task}",
        "",
        f"`python benchmarks/rejection.py --layers {options.layers} --series {options.series} "
        f"--task {options.task}`, torch {torch.__version__}, one thread a worker. Seconds are "
        "summed over workers.",
        "",
        "| stage | candidates in | turned down | share | seconds in all | seconds each |",
        "|---|---|---|---|---|---|",
    ]
    screened = options.layers - reasons["None"]
    lines.append(_row("static screen", options.layers, screened, screening))
    lines += [
        f"| – {reason} | | {count} | {count / options.layers:.1%} | | |"
        for reason, count in reasons.most_common()
        if reason != "None"
    ]
    for name in ("quality", "stability"):
        checks = [[c for c in result.checks if c.name == name] for result in found.values()]
        tried = [each for each in checks if each]
        killed = sum(not all(check.passed for check in each) for each in tried)
        seconds = sum(check.seconds for each in tried for check in each)
        lines.append(_row(name, len(tried), killed, seconds))
    complete = [r for r in found.values() if r.status is Status.COMPLETE]
    spent = sum(result.seconds for result in found.values())
    lines += [
        f"| diverged or failed | | {status[Status.DIVERGED] + status[Status.FAILED]} | | | |",
        f"| trained to the end | {len(complete)} | | | "
        f"{sum(r.seconds for r in complete):.0f} | "
        f"{np.mean([r.seconds for r in complete]) if complete else 0:.2f} |",
        "",
        f"In all {spent:,.0f} s for {len(found)} candidates that passed the screen, "
        f"{spent / max(1, len(found)):.2f} s each.",
        "",
        "## Random search",
        "",
        "| layer | score | protocol |",
        "|---|---|---|",
    ]
    scores = {name: results[name].score for name in known}
    for name in sorted(known, key=lambda name: -(scores[name] or 0)):
        score, reason = scores[name], results[name].reason
        lines.append(f"| {name} | {'–' if score is None else f'{score:.4f}'} | {reason} |")
    reference = results["bn_relu"].score or 0.0
    best = sorted(complete, key=lambda result: -(result.score or 0))
    for result in best[:10]:
        formula = infix(parse(accepted[int(result.key)]))
        lines.append(f"| `{formula}` | {result.score:.4f} | |")
    better = sum((result.score or 0) >= reference for result in complete)
    lines += [
        "",
        f"{better} of the {len(complete)} trained to the end, and of the {options.layers:,} drawn, "
        "reach bn_relu's score.",
        "",
        "## Rejected wrongly",
        "",
    ]
    ended = {key: result.score for key, result in fully.items() if result.standing is not None}
    by = Counter(_protocol(results[key]) for key in fully)
    wrong = [key for key, score in ended.items() if score is not None and score >= reference]
    tenth = float(np.quantile([r.score or 0 for r in complete], 0.9)) if complete else 0.0
    near = [key for key, score in ended.items() if score is not None and score >= tenth]
    share = len(wrong) / max(1, len(fully))
    lines += [
        f"{len(fully)} of the turned down ({', '.join(f'{n} by {k}' for k, n in by.items())}) were "
        f"trained to the end without protocols: {len(ended)} got there, {len(wrong)} of them reach "
        f"bn_relu's score, {len(near)} the best tenth of what had passed ({tenth:.4f}). "
        f"Median {np.median(list(ended.values())) if ended else 0:.3f}, best "
        f"{max(ended.values(), default=0):.4f}.",
        "",
        f"So {share:.1%} of the turned down were as good as bn_relu, and "
        f"{better} of those that passed.",
        "",
        "## Cost",
        "",
    ]
    whole = float(np.mean([r.seconds for r in (*complete, *fully.values())]))
    lines += [
        "Training every candidate that passed the screen to the end would take "
        f"{whole:.2f} s each, {whole * len(found):,.0f} s in all; with the protocols it "
        f"took {spent:,.0f} s ({spent / (whole * max(1, len(found))):.0%}).",
        "",
    ]
    return "\n".join(lines)


def _protocol(result: Result) -> str:
    return next(check.name for check in result.checks if not check.passed)


def _row(name: str, tried: int, killed: int, seconds: float) -> str:
    return (
        f"| {name} | {tried:,} | {killed:,} | {killed / max(1, tried):.1%} | {seconds:,.0f} | "
        f"{seconds / max(1, tried):.4f} |"
    )


if __name__ == "__main__":
    main()
