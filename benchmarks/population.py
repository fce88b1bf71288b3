"""Networks trained at a time as a stack, against one at a time.

    python benchmarks/population.py [--device cuda] [--task mnist1d] [--sizes 1,8,64,512]

Writes benchmarks/results/population-DEVICE.md. Candidates are random ones of the default space;
all of them train to the end, with no rungs, so that both ways do the same work.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from compile_once import distinct

from actsearch.evaluators.population import train_population
from actsearch.evaluators.result import Job, Rung
from actsearch.evaluators.screens import static_screen
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.training import Trainer, on_device
from actsearch.evaluators.verdict import StaticLimits
from actsearch.primitives.lowering.backends import backend_for


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--task", default="mnist1d")
    parser.add_argument("--sizes", default="1,8,64,512")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--single", type=int, default=16, help="networks trained one at a time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [int(size) for size in options.sizes.split(",")]
    task = load_task(options.task, None)
    sound = [e for e in distinct(3 * max(sizes)) if static_screen(e, StaticLimits()).accepted]
    jobs = [
        Job(f"job/{i}", expr.text, 7, task.learning_rate, (Rung(options.steps),))
        for i, expr in enumerate(sound[: max(sizes)])
    ]
    trainer = Trainer(task, options.device)
    trainer(jobs[0])
    started = time.perf_counter()
    for job in jobs[: options.single]:
        trainer(job)
    alone = min(options.single, len(jobs)) / (time.perf_counter() - started)
    splits = on_device(task.load(), options.device)
    name = "CPU, one thread"
    if options.device != "cpu":
        name = torch.cuda.get_device_name()
    lines = [
        f"# Population: networks trained per second, {options.task}, {options.steps} steps",
        "",
        f"`python benchmarks/population.py {' '.join(sys.argv[1:])}`, torch {torch.__version__}, "
        f"{name}, activations by: {backend_for(splits.train.inputs)}. One at a time: {alone:.2f} "
        "networks a second.",
        "",
        "| networks in the stack | per second | against one at a time |",
        "|---|---|---|",
    ]
    for size in sizes:
        train_population(task, splits, jobs[:1], options.device)
        started = time.perf_counter()
        train_population(task, splits, jobs[:size], options.device)
        rate = size / (time.perf_counter() - started)
        lines.append(f"| {size} | {rate:.2f} | {rate / alone:.2f} |")
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    out = Path(__file__).parent / "results" / f"population-{options.device.split(':')[0]}.md"
    out.write_text(text)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
