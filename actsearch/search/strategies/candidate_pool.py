"""Candidates that a model chooses from: a whole space, or draws from one that is too large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...evaluators.features import candidate_features
from ...evaluators.screens import DuplicateScreen, fingerprint
from ...primitives import Expr
from ...primitives.spaces import Decisions, Proposal, Space, enumerated

Vector = Callable[[Expr], np.ndarray | None]
"""Features of an expression, all of one length; None where they are not finite."""


@dataclass(frozen=True)
class Pool:
    """Candidates, features (candidates, width), and which of them were not proposed yet."""

    proposals: Sequence[Proposal]
    features: np.ndarray
    fresh: np.ndarray


class WholeSpace:
    """Every function of a space once, the same array of features at every call."""

    def __init__(self, space: Space, vector: Vector) -> None:
        # Spaces are frozen dataclasses, which their protocol cannot say.
        functions = different_functions(space)  # type: ignore[arg-type]
        vectors = [(proposal, vector(proposal.expr)) for proposal in functions]
        finite = [(proposal, found) for proposal, found in vectors if found is not None]
        self._rows = {proposal.expr.text: row for row, (proposal, _) in enumerate(finite)}
        self._pool = Pool(
            [proposal for proposal, _ in finite],
            np.array([found for _, found in finite]),
            np.ones(len(finite), dtype=bool),
        )

    def pool(self, parents: Sequence[Decisions], rng: np.random.Generator) -> Pool:
        return self._pool

    def remove(self, text: str) -> None:
        """Not fresh any more, if it is there at all."""
        if text in self._rows:
            self._pool.fresh[self._rows[text]] = False


class DrawnCandidates:
    """Samples of a space and mutations of the best, drawn anew at every call.

    Args:
        samples, mutations: how many of each; without parents there are no mutations.
    """

    def __init__(self, space: Space, vector: Vector, samples: int, mutations: int) -> None:
        self._space, self._vector = space, vector
        self._samples, self._mutations = samples, mutations
        self._removed: set[str] = set()

    def pool(self, parents: Sequence[Decisions], rng: np.random.Generator) -> Pool:
        drawn = [self._space.sample(rng) for _ in range(self._samples)]
        for _ in range(self._mutations if parents else 0):
            parent = parents[int(rng.integers(len(parents)))]
            drawn.append(self._space.mutate(parent, rng))
        different = {proposal.expr.text: proposal for proposal in drawn}
        fresh = [proposal for text, proposal in different.items() if text not in self._removed]
        vectors = [(proposal, self._vector(proposal.expr)) for proposal in fresh]
        finite = [(proposal, found) for proposal, found in vectors if found is not None]
        return Pool(
            [proposal for proposal, _ in finite],
            np.array([found for _, found in finite]),
            np.ones(len(finite), dtype=bool),
        )

    def remove(self, text: str) -> None:
        """Never in a pool again."""
        self._removed.add(text)


@lru_cache(maxsize=4)
def different_functions(space: Space) -> tuple[Proposal, ...]:
    """The first spelling of every function of a space that is finite, as the screens tell them."""
    screen = DuplicateScreen()
    found = []
    for proposal in enumerated(space):
        if np.isfinite(candidate_features(proposal.expr, space)).all():
            mark = fingerprint(proposal.expr)
            if screen.find(mark) is None:
                screen.remember(mark, proposal.expr.text)
                found.append(proposal)
    return tuple(found)
