"""How often a search finds a function of the class of Swish and GELU, or a better one.

Replays searches of 500 evaluations on a table of the one-unit space of arXiv:1710.05941. For each
seed the ten candidates with the best scores of the search are looked at: is x*sigmoid(beta*x), or
another spelling of it, among them; and is one among them whose mean score over all seeds of the
table reaches that of GELU, which is no point of the space, or of Swish.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from actsearch.evaluators.result import Result, Status
from actsearch.evaluators.table import Table, load_table
from actsearch.search.replay import on_table, replay

SWISH = ("mul(x, sigmoid(x))", "mul(sigmoid(mul(beta[1, channel], x)), x)")
STRATEGIES = ("random", "evolution", "genetic", "reinforce", "surrogate", "optuna:tpe")
RUNGS = [{"steps": 100}, {"steps": 200}, {"steps": 400}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=500)
    options = parser.parse_args()
    table = load_table(options.table)
    gelu = float(np.mean(table.known_scores[table.known.index("gelu"), :, -1]))
    swish = {table.function_of(text) for text in SWISH}
    bar = min(gelu, max(float(table.quality[function]) for function in swish))
    better = int((table.quality >= bar).sum())
    lines = [
        f"# Rediscovery on {options.table.name}: {options.budget} evaluations, "
        f"{options.seeds} seeds",
        "",
        f"`python benchmarks/rediscovery.py {options.table}`. GELU's mean score is {gelu:.4f}, "
        f"that of the best form of Swish {max(table.quality[list(swish)]):.4f}; {better} of "
        f"{len(table.functions):,} functions reach the lower of the two.",
        "",
        "| strategy | as good as Swish or GELU in the top 10 | a form of Swish trained | in the "
        "top 10 | mean of the ten |",
        "|---|---|---|---|---|",
    ]
    for name in STRATEGIES:
        settings = {
            "budget": options.budget,
            "strategy": {"name": name},
            "training": {"rungs": RUNGS},
        }
        config = on_table(table, settings)
        good = trained = top = 0
        means = []
        for seed in range(options.seeds):
            history = replay(table, config, seed)
            ten = _top_ten(table, history.functions, history.results)
            good += any(table.quality[function] >= bar for function in ten)
            trained += bool(swish & set(history.functions))
            top += bool(swish & set(ten))
            means.append(float(np.mean(table.quality[ten])))
        count = options.seeds
        lines.append(
            f"| {name} | {good} of {count} | {trained} of {count} | {top} of {count} | "
            f"{np.mean(means):.4f} |"
        )
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    out = Path(__file__).parent / "results" / "rediscovery.md"
    out.write_text(text)
    print(f"wrote {out}")


def _top_ten(table: Table, functions: tuple[int, ...], results: tuple[Result, ...]) -> list[int]:
    complete = [
        (result.scores[-1], function)
        for function, result in zip(functions, results, strict=True)
        if result.status is Status.COMPLETE
    ]
    ranked = sorted(complete, key=lambda pair: -pair[0])
    return [function for _, function in ranked[:10]]


if __name__ == "__main__":
    main()
