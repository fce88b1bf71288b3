"""Candidates whose trainings ended at different rungs, in one order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Comparisons:
    """Every candidate against every other, at the highest rung that both reached.

    By the standings alone a candidate that was stopped is below all that were not, also below
    those of the first hours, when there were no thresholds yet. Compared rung by rung it is where
    it belongs. One that reached no rung is below all that did.
    """

    def __init__(self) -> None:
        self._scores = np.empty((0, 0))
        self._balance = np.empty(0)

    @property
    def balance(self) -> np.ndarray:
        """(candidates,) from -1 to 1: the share of the others that each beats, less the share that
        beats it."""
        return self._balance / max(1, len(self._balance) - 1)

    def add(self, scores: Sequence[float]) -> None:
        """One more candidate, by its score at each rung that it reached."""
        grown = np.full((len(self._scores) + 1, max(len(scores), self._scores.shape[1])), np.nan)
        grown[:-1, : self._scores.shape[1]] = self._scores
        grown[-1, : len(scores)] = scores
        reached = np.isfinite(grown).sum(axis=1)
        common = np.minimum(reached[-1], reached[:-1])
        last = np.maximum(common - 1, 0)
        differences = np.where(
            common > 0,
            grown[-1, last] - grown[np.arange(len(common)), last],
            reached[-1] - reached[:-1],
        )
        wins = np.sign(differences)
        self._balance = np.append(self._balance - wins, wins.sum())
        self._scores = grown
