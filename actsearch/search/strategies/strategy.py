"""A strategy proposes candidates and observes what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...evaluators.result import Result
from ...primitives.spaces import Decisions, Proposal


@dataclass(frozen=True)
class Observation:
    """A candidate's decisions and the result of its training.

    Args:
        standing: what candidates compare by, as of `Result.standing`, with the penalty for cost
            taken off the score if the run weighs cost; None if it never ranks.
    """

    decisions: Decisions
    result: Result
    standing: tuple[int, float] | None


class Strategy(Protocol):
    """Which candidate next.

    Deterministic: a proposal depends on the observations so far, in their order, and on the
    generator given. The engine makes a fresh generator for each proposal from the run's seed and
    the proposal's number, so that a strategy keeps no random state that a resume would lose.
    """

    def propose(self, rng: np.random.Generator) -> Proposal | None:
        """The next candidate; it may be one that is screened out, then the next is asked for.

        None if the space holds no other.
        """
        ...

    def observe(self, observation: Observation) -> None:
        """Told once for each trained candidate, in the order in which they were proposed."""
        ...
