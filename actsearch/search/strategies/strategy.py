"""A strategy proposes candidates and observes what came of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...evaluators.result import Result
from ...primitives import Expr
from ...primitives.spaces import Decisions, Proposal, Space


@dataclass(frozen=True)
class Observation:
    """A candidate and the result of its training.

    Args:
        expr: what was trained.
        decisions: the answers that led to it; None for a known activation. Those are trained
            before the search, whatever the strategy, and observed first.
        result: scores at each rung, and how it ended.
        standing: what candidates compare by, as of `Result.standing`, with the penalty for cost
            taken off the score if the run weighs cost; None if it never ranks.
        costs: the run's objectives besides the score, lower is better.
        parts: the score of each anchor at the last rung reached, if each is an objective.
    """

    expr: Expr
    decisions: Decisions | None
    result: Result
    standing: tuple[int, float] | None
    costs: tuple[float, ...] = ()
    parts: tuple[float, ...] = ()

    @property
    def standings(self) -> tuple[tuple[int, float], ...]:
        """The standing, or that of each anchor if each is an objective; none if it never ranks."""
        if self.standing is None:
            return ()
        rungs, _ = self.standing
        return tuple((rungs, score) for score in self.parts) or (self.standing,)

    @property
    def objectives(self) -> tuple[Any, ...]:
        """All objectives of a candidate that ranks, higher is better, the standings first."""
        return (*self.standings, *(-cost for cost in self.costs))


@dataclass(frozen=True)
class Surroundings:
    """What a strategy knows before any training.

    Args:
        space: where candidates come from.
        budget: candidates that will be trained.
        objectives: 1, or as many as there are anchors, and one more for each cost.
        final_rung: rungs of a complete training.
        spectrum: features of a candidate's network at initialisation on the run's task, as of
            `evaluators.spectra`; a vector of one length, milliseconds.
    """

    space: Space
    budget: int
    objectives: int
    final_rung: int
    spectrum: Callable[[Expr], np.ndarray]


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
