"""Whether one activation is better than another, from scores on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

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
    low, high = _interval(differences, confidence)
    return Comparison(name, against, effect, low, high, sign_flip_p(differences))


def _interval(differences: np.ndarray, confidence: float) -> tuple[float, float]:
    """Bootstrap interval of the mean; without width where all are equal but for rounding."""
    mean = float(differences.mean())
    if np.ptp(differences) <= 1e-9 * np.abs(differences).max():
        return mean, mean
    interval = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def p_of_being_best(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """For each activation a p of the hypothesis that no other has a higher mean.

    Those with a p of at least 1 - confidence are the tied ones: with that confidence the truly best
    is among them, whichever it is. That one of them has the highest mean here plays no part, so
    choosing it by these scores favours nobody. The p is that of a sign-flip test whose statistic is
    the largest over the rivals of mean/root mean square of score(rival) - score(name), with the
    same flips for all rivals.

    Args:
        scores: as of `compare`.

    Source: subset containing the best, Hsu 1984, doi:10.1214/aos/1176346800; joint resampling in
    place of normal theory, Westfall and Young 1993.
    """
    names, rows = list(scores), np.asarray(list(scores.values()), float)
    signs = _sign_flips(rows.shape[1])
    found = {}
    for name, own in zip(names, rows, strict=True):
        ahead = rows - own
        size = np.sqrt(np.square(ahead).mean(axis=1, keepdims=True))
        ahead = ahead[size[:, 0] > 0] / size[size > 0, None]
        if not len(ahead):
            found[name] = 1.0
            continue
        largest = (signs @ ahead.T).max(axis=1)
        # Sums of the same terms in another order differ in the last digits.
        found[name] = float(np.mean(largest >= ahead.sum(axis=1).max() - 1e-9))
    return found


def power_of_pairs(effect: float, deviation: float, seeds: int, level: float) -> float:
    """Chance that a two-sided paired t-test finds a difference at that level.

    Args:
        effect, deviation: true mean and standard deviation of the paired differences.
        seeds: pairs, at least two.
    """
    if deviation == 0:
        return 1.0 if effect else level
    away = abs(effect) / deviation * math.sqrt(seeds)
    freedom = seeds - 1
    critical = float(stats.t.isf(level / 2, freedom))
    above = float(stats.nct.sf(critical, freedom, away))
    below = float(stats.nct.cdf(-critical, freedom, away))
    if math.isfinite(above):
        return above + (below if math.isfinite(below) else 0.0)
    # Far out scipy's series does not end; t is normal around the shift there.
    return float(stats.norm.sf(critical - away))


def required_seeds(effect: float, deviation: float, level: float, power: float = 0.8) -> int | None:
    """Fewest pairs that find such a difference with that power; None if over 100,000.

    As few as give the sign-flip test a p below the level at all.
    """
    low, high = fewest_seeds(level), 100_000
    if power_of_pairs(effect, deviation, high, level) < power:
        return None
    while low < high:
        middle = (low + high) // 2
        if power_of_pairs(effect, deviation, middle, level) >= power:
            high = middle
        else:
            low = middle + 1
    return low


def smallest_effect(deviation: float, seeds: int, level: float, power: float = 0.8) -> float | None:
    """Smallest difference that so many pairs find with that power; None if they can find none."""
    if seeds < fewest_seeds(level):
        return None
    if deviation == 0:
        return 0.0
    high = deviation
    while power_of_pairs(high, deviation, seeds, level) < power:
        high *= 2
    return float(
        optimize.brentq(
            lambda effect: power_of_pairs(effect, deviation, seeds, level) - power, 0.0, high
        )
    )


def fewest_seeds(level: float) -> int:
    """Pairs from which a sign-flip test can give a p at or below the level: 2/2^n, two at least."""
    return max(2, math.ceil(math.log2(2 / level) - 1e-9))


def _sign_flips(count: int) -> np.ndarray:
    """Signs (flips, count): all of them up to 14, then as they are and 9,999 random ones."""
    if count <= _EXACT_UP_TO:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return 1.0 - 2.0 * bits
    drawn = np.random.default_rng(0).choice([-1.0, 1.0], (_RESAMPLES, count))
    return np.concatenate([np.ones((1, count)), drawn])
