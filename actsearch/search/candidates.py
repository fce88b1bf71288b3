"""Which candidate when: the decisions of a run, apart from training and disks.

Proposal i is made after the strategy observed the results of candidates 0 to i - lookback, in
that order, and no others; thresholds of its rungs come from the same results. So what is
proposed depends on the configuration alone, not on workers or on which of them was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..primitives.spaces import Proposal
from .config import Config, TrainingSettings
from .proposer import Proposer
from .strategies import Observation


@dataclass(frozen=True)
class Candidate:
    """A proposal to train, and the scores that it must reach at each rung but the last."""

    proposal: Proposal
    thresholds: tuple[float, ...]
    known: str


def candidates(
    config: Config, proposer: Proposer, observation: Callable[[int], Observation]
) -> Iterator[Candidate]:
    """Candidates up to the budget, or until there is no new one.

    Args:
        config: resolved.
        proposer: asks the strategy and screens.
        observation: what came of the candidate of that index; it waits for the result.
    """
    at_rung: list[list[float]] = [[] for _ in config.training.rungs[:-1]]
    observed = 0
    for index in range(config.budget):
        while observed <= index - config.search.lookback:
            seen = observation(observed)
            proposer.strategy.observe(seen)
            for scores, score in zip(at_rung, seen.result.scores, strict=False):
                scores.append(score)
            observed += 1
        found = proposer.next()
        if found is None:
            return
        proposal, known = found
        yield Candidate(proposal, _thresholds(at_rung, config.training), known)


def _thresholds(
    at_rung: Sequence[Sequence[float]], training: TrainingSettings
) -> tuple[float, ...]:
    return tuple(
        float(np.quantile(scores[-training.window :], 1 - training.keep))
        if len(scores) >= training.least_scores and training.keep < 1
        else float("-inf")
        for scores in at_rung
    )
