"""Aging evolution: the best of a random tournament has a child, the oldest leaves.

Real et al. 2019, arXiv:1802.01548; population and tournament as in PANGAEA, arXiv:2006.03179.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...evaluators.pareto import front
from ...primitives.spaces import Decisions, Proposal
from .settings import check_settings
from .strategy import Observation, Surroundings


@dataclass(frozen=True)
class EvolutionSettings:
    """Sizes and shares.

    Args:
        population_size, tournament_size: believed to be PANGAEA's 64 and 16 (arXiv:2006.03179),
            from memory, not checked against its text.
        mutations: how often in a row a child of one parent is mutated; EvoNorm's 2
            (arXiv:2004.02967, from memory).
        initial: members of the population before the first tournament; 0 for a full population.
            Where most candidates are turned down, a full one is long in coming.
        from_known: the known activations that every run trains first enter the population, where
            the space can tell how they are built.
        crossover: share of children from two parents; PANGAEA has none.
        fresh: share of random newcomers; PANGAEA has none.
        least_score: candidates with a lower score at the last rung that they reached never enter
            the population. PANGAEA's is 0.2, from memory. The default leaves nothing out, as a
            task's scores may be of any size.

    Raises:
        ConfigError: a setting is out of range.
    """

    population_size: int = 64
    tournament_size: int = 16
    initial: int = 0
    from_known: bool = False
    mutations: int = 1
    crossover: float = 0.2
    fresh: float = 0.1
    least_score: float = -math.inf

    def __post_init__(self) -> None:
        conditions = (
            ("population_size", self.population_size >= 2, "at least 2"),
            (
                "tournament_size",
                1 <= self.tournament_size <= self.population_size,
                "1 to population_size",
            ),
            ("mutations", self.mutations >= 1, "at least 1"),
            ("initial", 0 <= self.initial <= self.population_size, "0 to population_size"),
            ("crossover", 0 <= self.crossover <= 1, "0 to 1"),
            ("fresh", 0 <= self.fresh <= 1, "0 to 1"),
            ("least_score", self.least_score < math.inf, "a number"),
        )
        check_settings(self, conditions)


class AgingEvolution:
    """Random until the population is full, then tournament, mutation or crossover, and aging.

    Candidates that diverged or failed never enter the population. Results compare by the rung
    reached, then by the score there, less what a run that weighs cost takes off. With further
    objectives a random member of the tournament's Pareto front wins, as in EvoNorm
    (arXiv:2004.02967).
    """

    def __init__(self, surroundings: Surroundings, settings: EvolutionSettings) -> None:
        self.space = surroundings.space
        self.settings = settings
        self.population: deque[tuple[tuple[Any, ...], Decisions]] = deque(
            maxlen=settings.population_size
        )

    def propose(self, rng: np.random.Generator) -> Proposal:
        settings = self.settings
        initial = settings.initial or settings.population_size
        if len(self.population) < initial or rng.random() < settings.fresh:
            return self.space.sample(rng)
        if rng.random() < settings.crossover:
            return self.space.crossover(self._winner(rng), self._winner(rng), rng)
        child = self.space.mutate(self._winner(rng), rng)
        for _ in range(settings.mutations - 1):
            child = self.space.mutate(child.decisions, rng)
        return child

    def observe(self, observation: Observation) -> None:
        score, decisions = observation.result.score, observation.decisions
        if decisions is None and self.settings.from_known:
            decisions = self.space.decisions_of(observation.expr)
        if decisions is None or observation.standing is None or score is None:
            return
        if score >= self.settings.least_score:
            self.population.append((observation.objectives, decisions))

    def _winner(self, rng: np.random.Generator) -> Decisions:
        size = min(self.settings.tournament_size, len(self.population))
        drawn = rng.choice(len(self.population), size, replace=False)
        members = [self.population[i] for i in drawn]
        best = front([objectives for objectives, _ in members])
        # Without further objectives only ties are left, and the first of them wins.
        single = len(members[0][0]) == 1
        return members[best[0 if single else rng.integers(len(best))]][1]
