"""A comparison: the finals without a search. Halving of the zoo, learning rates, paired trainings.

What is trained next depends on recorded results and the settings alone, so that a comparison that
was stopped goes on as if it had not been, with any number of workers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ..evaluators.result import Job, Result, Rung
from ..runs.journal import FINALS, SEARCH, Entry
from .comparison_config import FINAL, HALVING, SWEEP, ComparisonConfig, Entrant, Round
from .progress import Progress
from .trainings import Trainings

LAYERS = "layers"
"""`Job.task` of functions that take the place of normalisations too; the same task otherwise."""


@dataclass(frozen=True)
class Swept:
    """What the sweep of one function found.

    Args:
        scores: by learning rate, in rising order: mean over the seeds, None where one of them
            has no score.
    """

    scores: Mapping[float, float | None]

    @property
    def best(self) -> float | None:
        """The rate of the highest mean, the lower of equals; None if none has a score."""
        sound = {rate: score for rate, score in self.scores.items() if score is not None}
        return max(sound, key=lambda rate: sound[rate]) if sound else None

    @property
    def at_edge(self) -> bool:
        """Whether the best rate is the lowest or the highest that was tried."""
        return self.best in (min(self.scores), max(self.scores))


@dataclass(frozen=True)
class Outcome:
    """All that a comparison found.

    Args:
        halving: the rows of each round.
        swept: by label.
        finals: by label: the results in the order of the seeds; empty for a function that has no
            learning rate.
    """

    halving: Sequence[Mapping[str, Any]]
    entrants: Sequence[Entrant]
    swept: Mapping[str, Swept]
    finals: Mapping[str, Sequence[Result]]


def run_comparison(config: ComparisonConfig, trainings: Trainings) -> Outcome:
    """Train all that the comparison needs.

    Raises:
        RunError: the journal does not belong to this configuration or code.
    """
    halving, survivors = _halve(config, trainings)
    entrants = (*config.entrants, *survivors)
    swept = sweep(config, trainings, entrants)
    finals = _finals(config, trainings, entrants, swept)
    return Outcome(halving, entrants, swept, finals)


def _halve(
    config: ComparisonConfig, trainings: Trainings
) -> tuple[list[dict[str, Any]], Sequence[Entrant]]:
    left, rounds = config.members, []
    for number, each in enumerate(config.rounds):
        found = _round(config, trainings, number, each, left)
        order = sorted(left, key=lambda member: -_standing(found[member.label]))
        going_on = {member.label for member in order[: each.keep]}
        rounds.append(
            {
                "steps": each.steps,
                "seeds": each.seeds,
                "functions": [_halving_row(m, found[m.label], going_on) for m in order],
            }
        )
        left = tuple(member for member in left if member.label in going_on)
    return rounds, left


def _halving_row(member: Entrant, found: Swept, going_on: set[str]) -> dict[str, Any]:
    return {
        "label": member.label,
        "formula": member.formula,
        "learning_rate": found.best,
        "score": None if found.best is None else found.scores[found.best],
        "goes_on": member.label in going_on,
    }


def _standing(found: Swept) -> float:
    score = None if found.best is None else found.scores[found.best]
    return -math.inf if score is None else score


def _round(
    config: ComparisonConfig,
    trainings: Trainings,
    number: int,
    each: Round,
    members: Sequence[Entrant],
) -> dict[str, Swept]:
    seeds = config.seeds_for(HALVING, number, count=each.seeds)
    jobs = [
        _Asked(member, f"round {number + 1}", rate, place, seed, each.steps)
        for rate in _rates(config)
        for member in members
        for place, seed in enumerate(seeds)
    ]
    name = f"round {number + 1} of {len(config.rounds)}, {len(members)} functions"
    return _scores_by_rate(jobs, _train(trainings, name, SEARCH, jobs))


def sweep(
    config: ComparisonConfig, trainings: Trainings, entrants: Sequence[Entrant]
) -> dict[str, Swept]:
    """Every function at every rate; while the best one of a function lies at an edge, or none has
    a score, one more rate beyond it (below, where none has), as often as the settings allow."""
    seeds = config.seeds_for(SWEEP, count=config.sweep_seeds)
    wanted = {entrant.label: _rates(config) for entrant in entrants}
    jobs: list[_Asked] = []
    results: dict[str, Result] = {}
    best = _Best()
    while any(wanted.values()):
        new = [
            _Asked(entrant, "sweep", rate, place, seed, config.steps)
            for entrant in entrants
            for rate in wanted[entrant.label]
            for place, seed in enumerate(seeds)
        ]
        jobs += new
        stage = "learning rates" if new == jobs else "further learning rates"
        results |= _train(trainings, stage, FINALS, new, best)
        swept = _scores_by_rate(jobs, results)
        wanted = {label: _beyond(config, found) for label, found in swept.items()}
    return swept


def _beyond(config: ComparisonConfig, found: Swept) -> list[float]:
    rates, factors = list(found.scores), config.learning_rate_factors
    if len(rates) >= len(factors) + config.widenings:
        return []
    if found.best is None or found.best == rates[0]:
        return [rates[0] * factors[0] / factors[1]]
    if found.best == rates[-1]:
        return [rates[-1] * factors[-1] / factors[-2]]
    return []


def _finals(
    config: ComparisonConfig,
    trainings: Trainings,
    entrants: Sequence[Entrant],
    swept: Mapping[str, Swept],
) -> dict[str, list[Result]]:
    seeds = config.seeds_for(FINAL, count=config.seeds)
    # Seed by seed, so that what there is of an unfinished comparison is paired.
    jobs = [
        _Asked(entrant, "final", rate, place, seed, config.steps, "final")
        for place, seed in enumerate(seeds)
        for entrant in entrants
        if (rate := swept[entrant.label].best) is not None
    ]
    results = _train(trainings, "comparison", FINALS, jobs)
    by_label: dict[str, list[Result]] = {entrant.label: [] for entrant in entrants}
    for asked in jobs:
        by_label[asked.entrant.label].append(results[asked.job.key])
    return by_label


@dataclass(frozen=True)
class _Asked:
    """A training of a function: number `place` of the seeds of its stage."""

    entrant: Entrant
    stage: str
    rate: float
    place: int
    seed: int
    steps: int
    split: str = "validation"

    @property
    def job(self) -> Job:
        return Job(
            f"{self.stage}/{self.entrant.label}/{self.rate!r}/{self.place}",
            self.entrant.formula,
            self.seed,
            self.rate,
            (Rung(self.steps),),
            split=self.split,
            task=LAYERS if self.entrant.normalises else "",
        )


@dataclass
class _Best:
    """The best mean over the seeds so far, for the display."""

    scores: defaultdict[tuple[str, float], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __call__(self, progress: Progress, entry: Entry) -> None:
        if entry.result.standing is None or entry.result.score is None:
            return
        self.scores[entry.job.formula, entry.job.learning_rate].append(entry.result.score)
        formula, rate = max(self.scores, key=lambda key: fmean(self.scores[key]))
        progress.best_score = fmean(self.scores[formula, rate])
        progress.best_formula = formula


def _train(
    trainings: Trainings,
    stage: str,
    study: str,
    asked: Sequence[_Asked],
    best: _Best | None = None,
) -> dict[str, Result]:
    jobs = [(each.entrant.label, each.job) for each in asked]
    return trainings.train(stage, study, jobs, best or _Best())


def _rates(config: ComparisonConfig) -> list[float]:
    return [config.learning_rate * factor for factor in config.learning_rate_factors]


def _scores_by_rate(asked: Sequence[_Asked], results: Mapping[str, Result]) -> dict[str, Swept]:
    """By label, the mean score at each rate; None where a training diverged or failed."""
    found: dict[str, dict[float, list[float | None]]] = {}
    for each in asked:
        result = results[each.job.key]
        score = result.score if result.standing is not None else None
        by_rate = found.setdefault(each.entrant.label, {})
        by_rate.setdefault(each.rate, []).append(score)
    return {
        label: Swept({rate: _mean(by_rate[rate]) for rate in sorted(by_rate)})
        for label, by_rate in found.items()
    }


def _mean(scores: Sequence[float | None]) -> float | None:
    sound = [score for score in scores if score is not None]
    return fmean(sound) if len(sound) == len(scores) else None
