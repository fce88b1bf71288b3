"""Whether one activation is better than another, from scores on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

_RESAMPLES = 9_999
_EXACT_UP_TO = 14


@dataclass(frozen=True)
class Comparison:
    """Mean paired difference of scores, and how sure it is.

    Args:
        name: the activation.
        against: what it is compared with.
        effect: mean over seeds of score(name) - score(against).
        low, high: bootstrap interval of the effect.
        p: of the two-sided sign-flip permutation test of a zero effect.
        p_holm: p after Holm's correction for all comparisons made together.
        better: the effect is above zero and p_holm is below one minus the confidence.
    """

    name: str
    against: str
    effect: float
    low: float
    high: float
    p: float
    p_holm: float = 1.0
    better: bool = False


def compare(
    scores: Mapping[str, Sequence[float]],
    pairs: Sequence[tuple[str, str]],
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare pairs of activations on common seeds.

    Args:
        scores: for each name, one finite score for each seed, in one order of seeds.
        pairs: (name, against), all of which are corrected for together.
        confidence: of the intervals; a p below 1 - confidence counts.

    Raises:
        ValueError: fewer than two seeds, or different numbers of them.

    Source: bias-corrected accelerated bootstrap, Efron 1987; Holm 1979.
    """
    made = [_compare(scores, name, against, confidence) for name, against in pairs]
    corrected = holm([comparison.p for comparison in made])
    return [
        replace(
            comparison,
            p_holm=p_holm,
            better=comparison.effect > 0 and p_holm < 1 - confidence,
        )
        for comparison, p_holm in zip(made, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the k-th smallest of m is multiplied by m - k + 1.

    Corrected values never fall along the order and are at most 1.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - place)))
        corrected[i] = largest
    return corrected


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p of a zero mean, if each difference could as well have the other sign.

    Exact up to 14 differences, then from 99,999 random flips of a fixed generator.
    """
    if not np.any(differences):
        return 1.0
    exact = len(differences) <= _EXACT_UP_TO
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=2**_EXACT_UP_TO if exact else 99_999,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _compare(
    scores: Mapping[str, Sequence[float]], name: str, against: str, confidence: float
) -> Comparison:
    ours, theirs = np.asarray(scores[name], float), np.asarray(scores[against], float)
    if ours.shape != theirs.shape or len(ours) < 2:
        raise ValueError(
            f"comparing {name} with {against} needs the same seeds, at least two; got "
            f"{len(ours)} and {len(theirs)} scores"
        )
    differences = ours - theirs
    effect = float(differences.mean())
    low, high = effect, effect
    if np.ptp(differences) > 0:
        interval = stats.bootstrap(
            (differences,),
            np.mean,
            n_resamples=_RESAMPLES,
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Comparison(name, against, effect, low, high, sign_flip_p(differences))
