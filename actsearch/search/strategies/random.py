"""Random search: candidates drawn from the space's prior; the control of every other strategy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...primitives.spaces import Proposal
from .strategy import Observation, Surroundings


@dataclass(frozen=True)
class RandomSettings:
    """Nothing to set."""


class RandomSearch:
    """Learns nothing."""

    def __init__(self, surroundings: Surroundings, settings: RandomSettings) -> None:
        self.space = surroundings.space

    def propose(self, rng: np.random.Generator) -> Proposal:
        return self.space.sample(rng)

    def observe(self, observation: Observation) -> None:
        return None
