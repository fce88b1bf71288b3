"""Aging evolution: the best of a random tournament has a child, the oldest leaves.

Real et al. 2019, arXiv:1802.01548; population and tournament as in PANGAEA, arXiv:2006.03179.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from ...primitives.spaces import Decisions, Proposal, Space, crossover, mutate, sample
from .strategy import Observation


class EvolutionSettings(Protocol):
    """Sizes, and shares of children by crossover and of random newcomers."""

    @property
    def population_size(self) -> int: ...
    @property
    def tournament_size(self) -> int: ...
    @property
    def crossover(self) -> float: ...
    @property
    def fresh(self) -> float: ...


class AgingEvolution:
    """Random until the population is full, then tournament, mutation or crossover, and aging.

    Candidates that diverged or failed never enter the population. Results compare by the rung
    reached, then by the score there, less what a run that weighs cost takes off.
    """

    def __init__(self, space: Space, settings: EvolutionSettings) -> None:
        self.space = space
        self.settings = settings
        self.population: deque[tuple[tuple[int, float], Decisions]] = deque(
            maxlen=settings.population_size
        )

    def propose(self, rng: np.random.Generator) -> Proposal:
        settings = self.settings
        if len(self.population) < settings.population_size or rng.random() < settings.fresh:
            return sample(self.space, rng)
        if rng.random() < settings.crossover:
            return crossover(self.space, self._winner(rng), self._winner(rng), rng)
        return mutate(self.space, self._winner(rng), rng)

    def observe(self, observation: Observation) -> None:
        if observation.standing is not None:
            self.population.append((observation.standing, observation.decisions))

    def _winner(self, rng: np.random.Generator) -> Decisions:
        drawn = rng.choice(len(self.population), self.settings.tournament_size, replace=False)
        return max((self.population[i] for i in drawn), key=lambda member: member[0])[1]
