"""How large a lookback should be: utilisation and regret of simulated clusters.

    python benchmarks/lookback.py

Nothing is trained and no time passes. Proposals come from the real strategies, with the rule of
lookback and rungs of `actsearch.search.candidates`; a virtual clock says when each training would
start and end on a cluster. A candidate may be trained twice, and making one takes no time. Writes
benchmarks/results/lookback.md and docs/images/lookback.png.

What stands in for the trainings:

- Scores. A seeded landscape over the answers of a space with the slots of two core units: effects
  of each answer, of pairs of answers within a unit, and of the two binary operators together; all
  normal, the pairs with half of the variance. It stands for no task; its optimum is known exactly.
  A full score is the truth plus normal noise of the seed, a score at a rung that plus noise of its
  own; their sizes give the measured rank correlations (docs/rungs.md: .81 between full trainings
  of two seeds; .65 with the full score at a quarter of the steps, .90 at half).
- Durations. Lognormal around a median of 1, sigma 0.67: fitted to the 1,922 complete trainings
  first recorded for the table of one-unit functions on mnist1d (0.9 to 12.7 s, median 1.2 s),
  on two cores that others used too, which is where the long tail comes from. A training
  that a rung stops takes the share of its steps.
"""

from __future__ import annotations

import argparse
import heapq
import math
import platform
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from actsearch.evaluators.result import Result, Status
from actsearch.primitives.expr import Constant, Expr
from actsearch.primitives.spaces import Choose, Decisions, Space
from actsearch.search.config import TrainingSettings
from actsearch.search.strategies import STRATEGIES, Observation, Surroundings

SIGMA = 0.67
UNITS, UNARY, BINARY = 2, 25, 10
SEED_NOISE = 0.215
RUNG_NOISE = {100: 0.626, 200: 0.16, 400: 0.0}
# Workers, length of the search in median full trainings, and landscapes. Of 10,000 trainings the
# slowest takes 12 medians, so a search much shorter than that would never learn anything.
CLUSTERS = ((10, 50.0, 20), (100, 30.0, 8), (1_000, 30.0, 3), (10_000, 25.0, 1))
FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
COMPARED = ("evolution", "random")
COLOURS = {"evolution": "#0072B2", "random": "#D55E00"}
MARKERS = {"evolution": "o", "random": "s"}


@dataclass(frozen=True)
class TwoUnitAnswers(Space):
    """The slots of two core units; a candidate is the number of its answers."""

    name: ClassVar[str] = "two-unit-answers"

    @property
    def size(self) -> int:
        return (BINARY * UNARY**2) ** UNITS

    def build(self, choose: Choose) -> Expr:
        number = 0
        for slot, options in SLOTS.items():
            number = number * len(options) + int(choose(slot, options))
        return Constant(float(number))


SLOTS = {
    f"unit{unit}.{part}": tuple(map(str, range(BINARY if part == "binary" else UNARY)))
    for unit in range(1, UNITS + 1)
    for part in ("binary", "left", "right")
}


class Landscape:
    """True scores, of standard deviation 1 over the space.

    `truth` of a candidate is unit[0][b, l, r] + unit[1][b, l, r] + both[b, b].
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.units = []
        for _ in range(UNITS):
            table = np.zeros((BINARY, UNARY, UNARY))
            for axis, size in enumerate(table.shape):
                shape = [1, 1, 1]
                shape[axis] = size
                table += rng.normal(size=shape)
                shape = list(table.shape)
                shape[axis] = 1
                table += rng.normal(size=shape)
            self.units.append(table)
        self.both = rng.normal(size=(BINARY, BINARY))
        spread = math.sqrt(sum(t.var() for t in self.units) + self.both.var())
        self.units = [t / spread for t in self.units]
        self.both = self.both / spread
        tops = [t.max(axis=(1, 2)) for t in self.units]
        self.best = float((tops[0][:, None] + tops[1][None, :] + self.both).max())

    def truth(self, decisions: Decisions) -> float:
        b1, l1, r1, b2, l2, r2 = (int(decisions[slot]) for slot in SLOTS)
        return float(self.units[0][b1, l1, r1] + self.units[1][b2, l2, r2] + self.both[b1, b2])


@dataclass
class Clock:
    """When jobs start and end on a cluster that takes them in the order of submission.

    Args:
        workers: of the same speed.
        lookback: proposal i waits for the results of jobs 0 to i - lookback.
    """

    workers: int
    lookback: int
    submitted: float = 0.0
    ends: list[float] = field(default_factory=list)
    _settled: list[float] = field(default_factory=list)
    _free: list[float] = field(default_factory=list)

    def propose(self) -> float:
        """The moment at which the next job is submitted."""
        number = len(self.ends)
        wait = self._settled[number - self.lookback] if number >= self.lookback else 0.0
        self.submitted = max(self.submitted, wait)
        return self.submitted

    def run(self, seconds: float) -> tuple[float, float]:
        """Start and end of the job submitted last."""
        if len(self._free) < self.workers:
            start = self.submitted
        else:
            start = max(self.submitted, heapq.heappop(self._free))
        end = start + seconds
        heapq.heappush(self._free, end)
        self.ends.append(end)
        self._settled.append(max(end, self._settled[-1] if self._settled else 0.0))
        return start, end


@dataclass(frozen=True)
class Outcome:
    """Of one simulated search: share of worker time in use, trainings ended, regret at the end."""

    utilisation: float
    trained: int
    regret: float


class Thresholds:
    """As of `actsearch.search.candidates`, in a tenth of the time of `numpy.quantile`."""

    def __init__(self, training: TrainingSettings) -> None:
        self.training = training
        self.latest: list[deque[float]] = [deque() for _ in RUNG_NOISE][:-1]
        self.in_order: list[list[float]] = [[] for _ in self.latest]

    def observe(self, scores: Sequence[float]) -> None:
        for latest, in_order, score in zip(self.latest, self.in_order, scores, strict=False):
            latest.append(score)
            insort(in_order, score)
            if len(latest) > self.training.window:
                del in_order[bisect_left(in_order, latest.popleft())]

    def now(self) -> list[float]:
        found = []
        for in_order in self.in_order:
            place = (len(in_order) - 1) * (1 - self.training.keep)
            below = int(place)
            if len(in_order) < self.training.least_scores:
                found.append(-math.inf)
            else:
                step = in_order[below + 1] - in_order[below]
                found.append(in_order[below] + (place - below) * step)
        return found


def simulated(workers: int, lookback: int, strategy: str, horizon: float, seed: int) -> Outcome:
    """A search of that length in median full trainings."""
    landscape = Landscape(seed)
    rng = np.random.default_rng([seed, 1])
    clock = Clock(workers, lookback)
    thresholds = Thresholds(TrainingSettings())
    settings, make = STRATEGIES[strategy]
    proposer = make(
        Surroundings(TwoUnitAnswers(), 10**9, 1, len(RUNG_NOISE), _no_spectrum), settings()
    )
    waiting: deque[Observation] = deque()
    trained = 0
    busy = 0.0
    best: tuple[tuple[int, float], float] = ((0, -math.inf), -math.inf)
    while clock.propose() < horizon:
        if len(waiting) == lookback:
            known = waiting.popleft()
            proposer.observe(known)
            thresholds.observe(known.result.scores)
        proposal = proposer.propose(rng)
        assert proposal is not None and proposal.decisions is not None
        truth = landscape.truth(proposal.decisions)
        full = truth + SEED_NOISE * rng.normal()
        noisy = [full + noise * rng.normal() for noise in RUNG_NOISE.values()]
        result = _stopped(str(len(clock.ends)), noisy, thresholds.now())
        share = list(RUNG_NOISE)[len(result.scores) - 1] / max(RUNG_NOISE)
        start, end = clock.run(rng.lognormal(0.0, SIGMA) * share)
        busy += max(0.0, min(end, horizon) - start)
        standing = result.standing
        waiting.append(Observation(proposal.expr, proposal.decisions, result, standing))
        if end <= horizon and standing is not None:
            trained += 1
            best = max(best, (standing, truth))
    return Outcome(busy / (workers * horizon), trained, landscape.best - best[1])


def _stopped(key: str, scores: Sequence[float], thresholds: Sequence[float]) -> Result:
    for place, (score, threshold) in enumerate(zip(scores, thresholds, strict=False)):
        if score < threshold:
            return Result(key, Status.STOPPED, tuple(map(float, scores[: place + 1])))
    return Result(key, Status.COMPLETE, tuple(map(float, scores)))


def _no_spectrum(expr: Expr) -> np.ndarray:
    raise NotImplementedError("numbers have no spectra")


Row = tuple[int, float, float, str, list[Outcome]]


def study(workers: int, horizon: float, repeats: int) -> Iterator[Row]:
    """Every lookback and strategy on a cluster of this size."""
    for factor in FACTORS:
        for strategy in COMPARED:
            lookback = int(workers * factor)
            outcomes = [
                simulated(workers, lookback, strategy, horizon, seed) for seed in range(repeats)
            ]
            print(workers, factor, strategy, outcomes[0], flush=True)
            yield workers, horizon, factor, strategy, outcomes


def _middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, and lowest and highest: repeats are few."""
    return float(np.median(values)), min(values), max(values)


def _table(found: Sequence[Row]) -> str:
    lines = [
        "# Lookback: simulated clusters",
        "",
        f"`python benchmarks/lookback.py`, NumPy {np.__version__}, Python "
        f"{platform.python_version()}. Median over the landscapes, and range of the regret. "
        "Time is in median full trainings, regret in standard deviations of the true score over "
        "the space. Scores and durations are stand-ins, described in the program.",
        "",
        "| workers | search length | landscapes | lookback / workers | strategy | utilisation "
        "| trainings ended | regret |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for workers, horizon, factor, strategy, outcomes in found:
        used = _middle([o.utilisation for o in outcomes])
        regret = _middle([o.regret for o in outcomes])
        trained = int(np.median([o.trained for o in outcomes]))
        lines.append(
            f"| {workers:,} | {horizon:g} | {len(outcomes)} | {factor:g} | {strategy} "
            f"| {used[0]:.0%} | {trained:,} "
            f"| {regret[0]:.2f} ({regret[1]:.2f} to {regret[2]:.2f}) |"
        )
    return "\n".join(lines) + "\n"


def _picture(found: Sequence[Row]) -> Figure:
    sizes = list(dict.fromkeys(row[0] for row in found))
    figure = Figure(figsize=(3.0 * len(sizes), 5.2), layout="constrained")
    axes = figure.subplots(2, len(sizes), sharex=True, sharey="row", squeeze=False)
    for column, size in enumerate(sizes):
        for strategy in COMPARED:
            mine = [row for row in found if row[0] == size and row[3] == strategy]
            factors = [row[2] for row in mine]
            for line, name in enumerate(("utilisation", "regret")):
                middles = np.array([_middle([getattr(o, name) for o in row[4]]) for row in mine])
                panel = axes[line, column]
                panel.plot(
                    factors,
                    middles[:, 0],
                    color=COLOURS[strategy],
                    marker=MARKERS[strategy],
                    label=strategy,
                )
                panel.fill_between(
                    factors, middles[:, 1], middles[:, 2], color=COLOURS[strategy], alpha=0.15, lw=0
                )
                panel.set_xscale("log", base=2)
                panel.set_xticks(FACTORS, [f"{factor:g}" for factor in FACTORS])
                panel.grid(color="#e4e4e4", lw=0.8)
                panel.spines[["top", "right"]].set_visible(False)
        axes[0, column].set_title(f"{size:,} workers")
        axes[1, column].set_xlabel("lookback / workers")
    axes[0, 0].set_ylabel("utilisation")
    axes[0, 0].set_ylim(0, 1.02)
    axes[1, 0].set_ylabel("regret, standard deviations")
    axes[0, 0].legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=10_000, help="largest cluster")
    options = parser.parse_args()
    here = Path(__file__).parent
    found: list[Row] = []
    for workers, horizon, repeats in CLUSTERS:
        if workers > options.largest:
            break
        found += study(workers, horizon, repeats)
        (here / "results" / "lookback.md").write_text(_table(found))
        _picture(found).savefig(here.parent / "docs" / "images" / "lookback.png", dpi=110)
    print(_table(found))


if __name__ == "__main__":
    main()
