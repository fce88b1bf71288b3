"""Random search: every answer drawn uniformly; the control of every other strategy."""

from __future__ import annotations

import numpy as np

from ...primitives.spaces import Proposal, Space, sample
from .strategy import Observation


class RandomSearch:
    """Learns nothing."""

    def __init__(self, space: Space, settings: object = None) -> None:
        self.space = space

    def propose(self, rng: np.random.Generator) -> Proposal:
        return sample(self.space, rng)

    def observe(self, observation: Observation) -> None:
        return None
