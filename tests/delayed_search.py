"""A search as the engine makes it, of candidates whose scores are known: results come late."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from actsearch.evaluators.result import Result, Status
from actsearch.primitives.spaces import Decisions, Proposal
from actsearch.search.strategies import Observation, Strategy

Score = Callable[[Decisions], float | None]


def observed(proposal: Proposal, score: float | None, costs: tuple[float, ...] = ()) -> Observation:
    """A complete training of one rung, or one that diverged where there is no score."""
    if score is None:
        result = Result("search/0", Status.DIVERGED)
    else:
        result = Result("search/0", Status.COMPLETE, (score,))
    return Observation(proposal.expr, proposal.decisions, result, result.standing, costs)


def search(
    strategy: Strategy,
    score: Score,
    budget: int,
    seed: int,
    screened_out: Callable[[Decisions], bool] = lambda decisions: False,
    lookback: int = 16,
    cost: Callable[[Decisions], float] | None = None,
) -> tuple[list[Observation], list[Proposal]]:
    """What was trained, each candidate once, and every proposal made.

    It ends early if the strategy knows no other.
    """
    trained: list[Observation] = []
    proposals: list[Proposal] = []
    met: set[str] = set()
    known = 0
    while len(trained) < budget:
        while known <= len(trained) - lookback:
            strategy.observe(trained[known])
            known += 1
        proposal = strategy.propose(np.random.default_rng([seed, len(proposals)]))
        if proposal is None:
            break
        proposals.append(proposal)
        name = str(sorted(proposal.decisions.items()))
        if name in met or screened_out(proposal.decisions):
            continue
        met.add(name)
        costs = () if cost is None else (cost(proposal.decisions),)
        trained.append(observed(proposal, score(proposal.decisions), costs))
    return trained, proposals
