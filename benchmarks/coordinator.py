"""What a candidate costs the coordinator before it is trained.

    python benchmarks/coordinator.py

Times, in CPU seconds of one thread, what the proposer does: ask the strategy, write the formula,
screen it, take its fingerprint and look for it among those remembered. A repeated formula is known
by its text and costs no screening, as in the proposer. Strategies are told random scores. Writes a
table to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from actsearch.evaluators.result import Result, Status
from actsearch.evaluators.screens import (
    DuplicateScreen,
    StaticLimits,
    fingerprint,
    static_screen,
)
from actsearch.primitives import Expr
from actsearch.primitives.spaces import UnaryBinary
from actsearch.search.strategies import STRATEGIES, Observation, Surroundings

COMPARED = ("random", "evolution")
STAGES = ("proposal", "text", "static screen", "fingerprint", "duplicate check")
REMEMBERED = (0, 1_000, 10_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposals", type=int, default=1_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    gc.freeze()  # as a run does once it is set up
    gc.set_threshold(20_000, 10, 100)
    lines = [
        f"# Coordinator: CPU microseconds per proposal, {options.proposals:,} proposals each",
        "",
        f"One core of {platform.processor() or platform.machine()}, torch {torch.__version__}: "
        f"`python benchmarks/coordinator.py --proposals {options.proposals}`. Load average "
        f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} cores: what others run at the same time "
        "slows memory and shared units down, CPU time or not.",
        "",
        f"| strategy | units | {' | '.join(STAGES)} | proposals/s | new candidates/s |",
        f"|{'---|' * (len(STAGES) + 4)}",
    ]
    for name in COMPARED:
        for units in (1, 2, 3):
            spent, new = _search(name, units, options.proposals)
            total = sum(spent.values())
            each = " | ".join(f"{spent[stage] / options.proposals * 1e6:.0f}" for stage in STAGES)
            lines.append(
                f"| {name} | {units} | {each} | {options.proposals / total:,.0f} "
                f"| {new / total:,.0f} |"
            )
            print(lines[-1], flush=True)
    lines += [
        "",
        "Duplicate check among candidates remembered (two units; what is remembered are mixtures "
        "of two fingerprints each, for real ones would take minutes to make):",
        "",
        "| remembered | look up, us | compare with each, us |",
        "|---|---|---|",
    ]
    for remembered, found, compared in _duplicates():
        lines.append(f"| {remembered:,} | {found:.0f} | {compared:,.0f} |")
        print(lines[-1], flush=True)
    out = Path(__file__).parent / "results" / "coordinator.md"
    out.write_text("\n".join(lines) + "\n")
    print(f"wrote {out}")


def _search(name: str, units: int, proposals: int) -> tuple[Counter[str], int]:
    """CPU seconds of each stage, and how many of the proposals were new."""
    settings, make = STRATEGIES[name]
    strategy = make(Surroundings(UnaryBinary(units), proposals, 1, 1, _no_spectrum), settings())
    known, seen = DuplicateScreen(), set()
    spent: Counter[str] = Counter()
    new, warm_up = 0, 200
    for number in range(-warm_up, proposals):
        if number == 0:
            spent.clear()
            new = 0
        rng = np.random.default_rng([units, number + warm_up])
        clock = _Clock(spent)
        proposal = strategy.propose(rng)
        clock.lap("proposal")
        expr = proposal.expr
        text = expr.text
        clock.lap("text")
        if text in seen:
            continue
        seen.add(text)
        accepted = static_screen(expr, StaticLimits()).accepted
        clock.lap("static screen")
        if not accepted:
            continue
        mark = fingerprint(expr)
        clock.lap("fingerprint")
        duplicate = known.find(mark)
        if duplicate is None:
            known.remember(mark, text)
        clock.lap("duplicate check")
        if duplicate is None:
            new += 1
            score = float(rng.random())
            result = Result("", Status.COMPLETE, (score,))
            strategy.observe(Observation(expr, proposal.decisions, result, result.standing))
    return spent, new


class _Clock:
    """Adds CPU time since the last lap to a stage."""

    def __init__(self, spent: Counter[str]) -> None:
        self.spent = spent
        self.last = time.thread_time()

    def lap(self, stage: str) -> None:
        now = time.thread_time()
        self.spent[stage] += now - self.last
        self.last = now


def _duplicates() -> list[tuple[int, float, float]]:
    """Microseconds of a look-up that finds nothing, by index and by the linear scan."""
    space, marks = UnaryBinary(2), []
    number = 0
    while len(marks) < 1_000:
        expr = space.sample(np.random.default_rng([9, number])).expr
        number += 1
        if static_screen(expr, StaticLimits()).accepted:
            marks.append(fingerprint(expr))
    asked, base = marks[:100], np.array(marks)
    rows = []
    for remembered in REMEMBERED:
        rng, screen = np.random.default_rng(0), DuplicateScreen()
        for i in range(remembered):
            one, other = base[rng.integers(len(base), size=2)]
            screen.remember(one + rng.random() * (other - one), str(i))
        begun = time.thread_time()
        for mark in asked:
            screen.find(mark)
        found = time.thread_time() - begun
        sample = base[: min(remembered, len(base))]
        begun = time.thread_time()
        if len(sample):
            for mark in asked:
                np.abs(sample - mark).max(axis=1)
        compared = (time.thread_time() - begun) * (remembered / max(1, len(sample)))
        rows.append((remembered, found / len(asked) * 1e6, compared / len(asked) * 1e6))
    return rows


def _no_spectrum(expr: Expr) -> np.ndarray:
    raise NotImplementedError("these strategies read no spectra")


if __name__ == "__main__":
    main()
