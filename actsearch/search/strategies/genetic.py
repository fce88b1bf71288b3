"""A genetic algorithm: parents drawn by softmax of their fitness, crossover, then mutation.

Bingham, Macke and Miikkulainen, GECCO 2020, arXiv:2002.07224.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...primitives.spaces import Decisions, Proposal
from .settings import check_settings
from .strategy import Observation, Surroundings


@dataclass(frozen=True)
class GeneticSettings:
    """Sizes, and how strongly fitness selects.

    Args:
        population_size: the paper's N = 50, from memory.
        newcomers: random candidates among as many proposals as the population has members; the
            paper's m = 10, from memory.
        temperature: what scores are divided by before the softmax; 1 is the paper. Accuracies lie
            in 0 to 1, so that at 1 no parent is drawn more than e times as often as another one.

    Raises:
        ConfigError: a setting is out of range.
    """

    population_size: int = 50
    newcomers: int = 10
    temperature: float = 1.0

    def __post_init__(self) -> None:
        conditions = (
            ("population_size", self.population_size >= 2, "at least 2"),
            ("newcomers", 0 <= self.newcomers <= self.population_size, "0 to population_size"),
            ("temperature", self.temperature > 0, "above 0"),
        )
        check_settings(self, conditions)


class GeneticSearch:
    """Random until the population is full; then a newcomer, or a child of two of the best.

    The paper breeds in generations: of N candidates it draws 2(N - m) parents with replacement,
    parent i by exp(score_i) / sum_j exp(score_j), crosses and mutates them to N - m children, adds
    m newcomers, and keeps the best of the whole history. Here results come one by one and late,
    and a generation would wait for its last training. So there are no generations: parents are
    drawn from the N best of all that is known, which is the history that the paper keeps, and
    each proposal is a newcomer with probability m/N. N proposals then have the paper's mixture on
    average, and a good candidate has children as soon as its result is known.

    Members are ordered by the rung reached, then by the score there; the softmax is of that score,
    which is of a shorter training and mostly lower for a candidate that was stopped. Candidates
    that diverged or failed are never parents. Further objectives are not looked at.
    """

    def __init__(self, surroundings: Surroundings, settings: GeneticSettings) -> None:
        self.space = surroundings.space
        self.settings = settings
        self.best: list[tuple[tuple[int, float], Decisions]] = []

    def propose(self, rng: np.random.Generator) -> Proposal:
        settings = self.settings
        size = settings.population_size
        if len(self.best) < size or rng.random() < settings.newcomers / size:
            return self.space.sample(rng)
        scores = np.array([score for (_, score), _ in self.best])
        fitness = np.exp((scores - scores.max()) / settings.temperature)
        mother, father = rng.choice(size, 2, p=fitness / fitness.sum())
        child = self.space.crossover(self.best[mother][1], self.best[father][1], rng)
        return self.space.mutate(child.decisions, rng)

    def observe(self, observation: Observation) -> None:
        if observation.decisions is None or observation.standing is None:
            return
        self.best.append((observation.standing, observation.decisions))
        # The sort is stable: of equal standings the older stays.
        self.best.sort(key=lambda member: member[0], reverse=True)
        del self.best[self.settings.population_size :]
