"""Ask the strategy until a candidate passes the screens, and count what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluators.screens import (
    DuplicateScreen,
    Reason,
    StaticLimits,
    Verdict,
    fingerprint,
    static_screen,
)
from ..primitives import KnownActivation, inputs
from ..primitives.spaces import Proposal
from .strategies import Strategy


@dataclass(frozen=True)
class Candidate:
    """A proposal that passed the screens; `known` names the known activation it equals."""

    proposal: Proposal
    known: str | None


class Proposer:
    """Proposals that are worth training, each function once.

    The n-th proposal of a run draws from a generator seeded by (seed, n) alone.

    Args:
        strategy: asked for proposals.
        limits: of the static screen.
        seed: of the run.
        patience: rejected proposals in a row after which the space counts as exhausted.
        known: activations to recognise; they are not rejected.
    """

    def __init__(
        self,
        strategy: Strategy,
        limits: StaticLimits,
        seed: int,
        patience: int,
        known: Sequence[KnownActivation] = (),
    ) -> None:
        self.strategy = strategy
        self.limits = limits
        self.seed = seed
        self.patience = patience
        self.proposed = 0
        self.rejected: Counter[str] = Counter()
        self._verdicts: dict[str, Verdict] = {}
        self._trained = DuplicateScreen()
        self._known = DuplicateScreen()
        for activation in known:
            if inputs(activation.expr) == ("x",):
                self._known.remember(fingerprint(activation.expr), activation.name)

    def next(self) -> Candidate | None:
        """The next candidate; None if there is no other.

        That is known when the strategy says so or `patience` proposals in a row were rejected.
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
                verdict = static_screen(proposal.expr, self.limits)
                if verdict.accepted:
                    mark = fingerprint(proposal.expr)
                    twin = self._trained.find(mark)
                    if twin is None:
                        self._trained.remember(mark, text)
                        self._verdicts[text] = Verdict(Reason.DUPLICATE, f"of {text}")
                        return Candidate(proposal, self._known.find(mark))
                    verdict = Verdict(Reason.DUPLICATE, f"of {twin}")
                self._verdicts[text] = verdict
            self.rejected[str(verdict.reason)] += 1
        return None
