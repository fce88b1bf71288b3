"""Exhaustive search: every candidate of a finite space, in the space's own order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from ...primitives.spaces import Proposal, enumerated
from .strategy import Observation, Surroundings


@dataclass(frozen=True)
class ExhaustiveSettings:
    """Nothing to set."""


class ExhaustiveSearch:
    """Learns nothing, and ends when the space does; equivalent spellings fall to the screens."""

    def __init__(self, surroundings: Surroundings, settings: ExhaustiveSettings) -> None:
        self._rest = chain(enumerated(surroundings.space), repeat(None))

    def propose(self, rng: np.random.Generator) -> Proposal | None:
        return next(self._rest)

    def observe(self, observation: Observation) -> None:
        return None
