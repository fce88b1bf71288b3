"""Exhaustive search: every candidate of a finite space, in the space's own order."""

from __future__ import annotations

from itertools import chain, repeat

import numpy as np

from ...primitives.spaces import Proposal, Space, enumerated
from .strategy import Observation


class ExhaustiveSearch:
    """Learns nothing, and ends when the space does; equivalent spellings fall to the screens."""

    def __init__(self, space: Space, settings: object = None) -> None:
        self._rest = chain(enumerated(space), repeat(None))

    def propose(self, rng: np.random.Generator) -> Proposal | None:
        return next(self._rest)

    def observe(self, observation: Observation) -> None:
        return None
