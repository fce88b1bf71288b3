"""Ask the strategy until a candidate passes the screens, and count what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from ..evaluators.verdict import Reason, Verdict
from ..primitives import Expr
from ..primitives.spaces import Proposal
from .strategies import Strategy


class Proposer:
    """Proposals that are worth training, each function once.

    The n-th proposal of a run draws from a generator seeded by (seed, n) alone.

    Args:
        strategy: asked for proposals.
        screen: judges an expression, and rejects one that is the same function as an accepted one.
        seed: of the run.
        patience: rejected proposals in a row after which the space counts as exhausted.
    """

    def __init__(
        self, strategy: Strategy, screen: Callable[[Expr], Verdict], seed: int, patience: int
    ) -> None:
        self.strategy = strategy
        self.screen = screen
        self.seed = seed
        self.patience = patience
        self.proposed = 0
        self.rejected: Counter[str] = Counter()
        self._verdicts: dict[str, Verdict] = {}

    def next(self) -> tuple[Proposal, str] | None:
        """The next candidate, and the name of the known activation that it equals, or "".

        None if there is no other: the strategy says so, or `patience` proposals in a row were
        rejected.
        """
        for _ in range(self.patience):
            rng = np.random.default_rng([self.seed, self.proposed])
            proposal = self.strategy.propose(rng)
            if proposal is None:
                return None
            self.proposed += 1
            text = proposal.expr.text
            verdict = self._verdicts.get(text)
            if verdict is None:
                verdict = self.screen(proposal.expr)
                if verdict.accepted:
                    self._verdicts[text] = Verdict(Reason.DUPLICATE, f"of {text}")
                    return proposal, verdict.known
                self._verdicts[text] = verdict
            self.rejected[str(verdict.reason)] += 1
        return None
