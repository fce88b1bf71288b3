"""The engine against a plain loop that trains every proposed candidate in full.

    python benchmarks/throughput.py --budget 100

Both get the same proposals of the same random strategy in the same order. The loop is one
process, eager, and trains each proposal to the end. The engine screens, drops duplicates, stops
at rungs and uses all cores. Then both winners are trained again from fresh seeds on the final
split. Writes a table to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from actsearch.evaluators.pool import run_job
from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Rung
from actsearch.evaluators.spectra import spectrum_on
from actsearch.evaluators.training import Trainer
from actsearch.primitives import baselines, infix, parse
from actsearch.runs.journal import SEARCH
from actsearch.runs.leaderboard import ranked
from actsearch.runs.run import Run
from actsearch.search.config import load_config, resolve
from actsearch.search.engine import Engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="mnist1d")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--final-seeds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config, task = resolve(
        load_config(
            {
                "seed": options.seed,
                "budget": options.budget,
                "strategy": {"name": "random"},
                "task": {"name": options.task},
                "finals": {"finalists": 0},
            }
        )
    )
    trainer = Trainer(task)
    full = (Rung(task.steps),)
    # What both sides pay once, outside the figures: reading the data.
    trainer(Job("warm-up", "relu(x)", 0, task.learning_rate, (Rung(1),)))

    workers = len(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory() as folder,
        Run.create(Path(folder) / "run", config.to_dict()) as run,
    ):
        begun = time.perf_counter()
        with RayPool(trainer, workers=workers) as pool:
            engine = Engine(config, run, pool, spectrum_on(task))
            engine.search()
            with_start = time.perf_counter() - begun
        entries = run.journal.entries(SEARCH)
        proposed = run.journal.attribute("search")["proposed"]
        winner = ranked(entries)[0].job.formula
        worker_seconds = sum(e.result.seconds for e in entries)
    print(f"engine: {proposed} proposals in {with_start:.1f} s", flush=True)

    space = config.space
    best, plain_winner, seed = -np.inf, "", entries[0].job.seed
    begun = time.perf_counter()
    for attempt in range(proposed):
        rng = np.random.default_rng([options.seed, attempt])
        formula = str(space.sample(rng).expr)
        result = run_job(trainer, Job(str(attempt), formula, seed, task.learning_rate, full))
        if result.standing and result.scores[-1] > best:
            best, plain_winner = result.scores[-1], formula
    plain = time.perf_counter() - begun
    print(f"plain loop: {proposed} proposals in {plain:.1f} s", flush=True)

    finals = {
        name: np.array(
            [
                trainer(
                    Job(name, formula, 1000 + s, task.learning_rate, full, split="final")
                ).scores[-1]
                for s in range(options.final_seeds)
            ]
        )
        for name, formula in (
            ("engine", winner),
            ("plain loop", plain_winner),
            ("gelu", next(b.expr.text for b in baselines() if b.name == "gelu")),
        )
    }
    difference = finals["engine"] - finals["plain loop"]
    lines = [
        f"# Throughput on {options.task}: {proposed} proposals, {len(entries)} of them trained by "
        "the engine",
        "",
        f"{workers} cores of {platform.processor() or platform.machine()}, torch "
        f"{torch.__version__}, one run: `python benchmarks/throughput.py --task {options.task} "
        f"--budget {options.budget} --seed {options.seed}`. The engine's time includes starting "
        f"Ray and training {len(baselines())} baselines; its workers trained candidates for "
        f"{worker_seconds:.0f} s in all.",
        "",
        "| | seconds | proposals per second | winner | its final score, mean of "
        f"{options.final_seeds} fresh seeds ± sd |",
        "|---|---|---|---|---|",
    ]
    for name, seconds, formula in (
        ("plain loop", plain, plain_winner),
        ("engine", with_start, winner),
    ):
        lines.append(
            f"| {name} | {seconds:.1f} | {proposed / seconds:.2f} | "
            f"`{infix(parse(formula))}` | {finals[name].mean():.4f} ± "
            f"{finals[name].std(ddof=1):.4f} |"
        )
    lines += [
        "",
        f"The engine is {plain / with_start:.1f} times as fast. Its winner's score minus the plain "
        f"loop's: {difference.mean():+.4f} ± {difference.std(ddof=1) / len(difference) ** 0.5:.4f} "
        f"(standard error, paired seeds). GELU has {finals['gelu'].mean():.4f}.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    out = Path(__file__).parent / "results" / f"throughput-{options.task}.md"
    out.write_text(text)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
