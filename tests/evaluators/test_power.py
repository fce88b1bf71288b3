"""Who may be the best, and how many seeds it takes, against scipy and simulated trainings."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from actsearch.evaluators.statistics import (
    compare,
    fewest_seeds,
    p_of_being_best,
    power_of_pairs,
    required_seeds,
    sign_flip_p,
    smallest_effect,
)


def test_the_p_of_being_best_counts_every_flip_of_the_seeds() -> None:
    rng = np.random.default_rng(3)
    means = {"a": 0.0, "b": 0.5, "c": 1.0, "d": 2.5}
    scores = {name: rng.normal(mean, 1.0, 8) for name, mean in means.items()}
    found = p_of_being_best(scores)
    for name, own in scores.items():
        ahead = [other - own for rival, other in scores.items() if rival != name]
        seen = max(d.sum() / np.sqrt(np.sum(d**2)) for d in ahead)
        count = 0
        for signs in product((1, -1), repeat=8):
            largest = max(np.dot(signs, d) / np.sqrt(np.sum(d**2)) for d in ahead)
            count += largest >= seen - 1e-12
        assert found[name] == count / 2**8
    assert found["a"] < 0.05 < 0.5 < found["d"]


def test_with_many_seeds_random_flips_come_close_to_all_of_them() -> None:
    rng = np.random.default_rng(4)
    own = rng.normal(0.0, 1.0, 16)
    scores = {"own": own, "other": own + rng.normal(0.55, 1.0, 16)}
    exact = stats.permutation_test(
        (scores["other"] - own,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=2**16,
    ).pvalue
    assert p_of_being_best(scores)["own"] == pytest.approx(exact, rel=0.15)


def test_the_truly_best_is_among_the_tied_as_often_as_it_says() -> None:
    # The hardest case: all are equally good, so that any one that is excluded is an error. The
    # function whose exclusion counts is fixed before the scores are drawn.
    rng = np.random.default_rng(5)
    lost = 0
    for _ in range(400):
        scores = {str(i): rng.normal(size=9) for i in range(6)}
        lost += p_of_being_best(scores)["0"] < 0.05
    assert lost / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_a_single_function_and_equal_scores_are_tied() -> None:
    assert p_of_being_best({"a": [0.1, 0.2]}) == {"a": 1.0}
    assert p_of_being_best({"a": [0.1, 0.3], "b": [0.1, 0.3]}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("effect", "deviation", "seeds", "level"),
    [(0.5, 1.0, 10, 0.05), (1.0, 1.0, 10, 0.05), (-1.5, 1.0, 12, 0.005), (0.003, 0.004, 20, 0.01)],
)
def test_power_is_how_often_a_paired_t_test_finds_it(
    effect: float, deviation: float, seeds: int, level: float
) -> None:
    rng = np.random.default_rng(6)
    drawn = rng.normal(effect, deviation, (10_000, seeds))
    found = stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < level
    assert power_of_pairs(effect, deviation, seeds, level) == pytest.approx(found.mean(), abs=0.016)


def test_as_many_seeds_as_required_make_the_sign_flip_test_find_the_effect() -> None:
    seeds = required_seeds(0.9, 1.0, 0.05)
    assert seeds is not None
    assert seeds <= 14
    rng = np.random.default_rng(7)
    drawn = rng.normal(0.9, 1.0, (150, seeds))
    # The sign-flip test is nearly as strong as the t-test, whose power is planned with.
    found = np.mean([sign_flip_p(row) < 0.05 for row in drawn])
    assert 0.65 < found < 0.93


def test_required_seeds_is_the_fewest_and_fits_the_smallest_effect() -> None:
    for effect, level in ((0.9, 0.05), (0.3, 0.005), (0.02, 0.05)):
        seeds = required_seeds(effect, 1.0, level)
        assert seeds is not None
        assert power_of_pairs(effect, 1.0, seeds, level) >= 0.8
        assert power_of_pairs(effect, 1.0, seeds - 1, level) < 0.8
        detected = smallest_effect(1.0, seeds, level)
        assert detected is not None
        assert detected <= effect
        assert power_of_pairs(detected, 1.0, seeds, level) == pytest.approx(0.8, abs=1e-6)


def test_few_seeds_can_show_nothing_however_large_the_effect() -> None:
    # All differences of one sign: p = 2/2^n.
    assert [fewest_seeds(level) for level in (0.05, 2 / 2**7, 0.05 / 11)] == [6, 7, 9]
    assert sign_flip_p(np.ones(5)) > 0.05 > sign_flip_p(np.ones(6))
    assert smallest_effect(1.0, 5, 0.05) is None
    assert required_seeds(100.0, 1.0, 0.05) == 6


def test_extremes_of_power_are_numbers() -> None:
    assert power_of_pairs(0.0, 1.0, 10, 0.05) == pytest.approx(0.05)
    assert power_of_pairs(0.0, 0.0, 10, 0.05) == 0.05
    assert power_of_pairs(0.1, 0.0, 10, 0.05) == 1.0
    assert required_seeds(0.0, 1.0, 0.05) is None
    assert smallest_effect(0.0, 10, 0.05) == 0.0
    for effect in (1.0, 10.0, 100.0, 1e4, 1e9):
        for seeds in (2, 10, 1_000, 100_000):
            power = power_of_pairs(effect, 1.0, seeds, 0.001)
            assert 0 <= power <= 1 + 1e-12
            assert power > 0.999 or effect == 1 or seeds == 2


def test_differences_equal_but_for_rounding_have_an_interval_without_width() -> None:
    ours, theirs = np.array([0.9, 0.8, 0.7, 0.3]), np.array([0.8, 0.7, 0.6, 0.2])
    assert np.ptp(ours - theirs) > 0
    (found,) = compare({"ours": ours, "theirs": theirs}, [("ours", "theirs")])
    assert found.low == found.high == found.effect == pytest.approx(0.1)
