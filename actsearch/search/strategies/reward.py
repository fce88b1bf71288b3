"""What a search that learns from numbers makes of standings and of several objectives."""

from __future__ import annotations

import math

import numpy as np


def as_number(standing: tuple[int, float]) -> float:
    """One finite number for a standing, in the same order.

    The rungs reached plus the score, squashed from any range into (0, 1) by its arctangent: a
    candidate that got further is above all that were stopped before it.
    """
    rungs, score = standing
    return rungs + 0.5 + math.atan(score) / math.pi


def undominated_shares(objectives: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each row of `objectives` the share of the rows of `among` that do not dominate it.

    A row dominates another if it is nowhere lower and somewhere higher. With one objective this
    is 1 less the share that is better, so the best has 1, whatever the scale of scores is.

    Args:
        objectives: (candidates, objectives), higher is better.
        among: (others, objectives), at least one row.

    Returns:
        (candidates,) from 0 to 1.
    """
    nowhere_lower = (among[None] >= objectives[:, None]).all(axis=2)
    somewhere_higher = (among[None] > objectives[:, None]).any(axis=2)
    return 1 - (nowhere_lower & somewhere_higher).mean(axis=1)
