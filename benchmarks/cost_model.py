"""The cost that a search weighs, a sum over operators, against the measured cost of candidates.

    python benchmarks/cost_model.py --candidates 60

Draws random candidates of the default space that pass the screens, and measures each as the module
that a user calls, on one thread. Writes rank correlation and relative errors to
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import torch
from random_candidates import random_candidates
from scipy.stats import kendalltau

from actsearch.evaluators.cost import measure_cost
from actsearch.evaluators.cost_model import CostModel, measure_operators
from actsearch.primitives import infix, read_formula
from actsearch.primitives.spaces import UnaryBinary

SHOWN = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)

    model = CostModel(measure_operators(options.device))
    exprs = random_candidates(UnaryBinary(), options.candidates, options.seed)
    measured, backends = [], set()
    for expr in (*exprs, read_formula("relu")):
        cost = measure_cost(expr, device=options.device, elements=options.elements)
        measured.append(cost.ns)
        backends.add(cost.backend)
        print(f"{len(measured)}/{len(exprs) + 1} measured", flush=True)
    truth, relu = np.array(measured[:-1]), measured[-1]
    modelled = np.array([model.cost(expr) for expr in exprs])
    ratio = modelled / truth
    doublings = np.abs(np.log2(modelled / model.cost(read_formula("relu")) / (truth / relu)))
    worst = np.argsort(-np.abs(np.log(ratio)))[:SHOWN]

    device = torch.cuda.get_device_name() if options.device != "cpu" else platform.machine()
    lines = [
        f"# Modelled against measured cost: {len(exprs)} random candidates",
        "",
        f"{device}, run by: {', '.join(sorted(backends))}; torch {torch.__version__}, one run: "
        f"`python benchmarks/cost_model.py --candidates {options.candidates} --seed {options.seed} "
        f"--elements {options.elements} --device {options.device}`.",
        "",
        f"Measured costs go from {truth.min():.2f} to {truth.max():.2f} ns per element, forward "
        "and backward.",
        "",
        "| figure | value |",
        "|---|---|",
        f"| Kendall's rank correlation | {kendalltau(modelled, truth).statistic:.2f} |",
        f"| median relative error | {np.median(np.abs(ratio - 1)):.0%} |",
        f"| median of modelled / measured | {np.median(ratio):.2f} |",
        f"| median error of the doublings over relu | {np.median(doublings):.2f} |",
        "",
        f"The {len(worst)} that it misses most:",
        "",
        "| modelled ns | measured ns | formula |",
        "|---|---|---|",
        *(f"| {modelled[i]:.2f} | {truth[i]:.2f} | `{infix(exprs[i])}` |" for i in worst),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    out = Path(__file__).parent / "results" / "cost-model.md"
    out.write_text(text)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
