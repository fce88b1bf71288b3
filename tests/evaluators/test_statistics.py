"""Statistics of the claim against brute force and known properties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.evaluators.statistics import compare, holm, sign_flip_p


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9))
def test_sign_flip_p_is_the_share_of_all_flips_that_are_as_extreme(values: list[int]) -> None:
    differences = np.array(values, float)
    flips = np.array(list(itertools.product((1, -1), repeat=len(values))))
    means = np.abs((flips * differences).mean(axis=1))
    expected = np.mean(means >= abs(differences.mean()) - 1e-9)
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_ten_differences_of_one_sign_have_the_smallest_exact_p() -> None:
    assert sign_flip_p(np.linspace(0.1, 1.0, 10)) == pytest.approx(2 / 1024)


def test_holm_multiplies_the_kth_smallest_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_a_clear_difference_is_better_and_its_reverse_is_not() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 10)
    scores = {
        "new": list(0.8 + noise + rng.normal(0, 0.003, 10)),
        "old": list(0.75 + noise),
        "twin": list(0.75 + noise + rng.normal(0, 0.003, 10)),
    }
    new, twin = compare(scores, [("new", "old"), ("twin", "old")])
    assert new.better
    assert new.low < 0.05 < new.high
    assert not twin.better
    (old,) = compare(scores, [("old", "new")])
    assert old.effect == pytest.approx(-new.effect)
    assert not old.better


def test_equal_scores_have_no_effect_and_no_interval() -> None:
    (same,) = compare({"a": [0.5] * 5, "b": [0.5] * 5}, [("a", "b")])
    assert (same.effect, same.low, same.high, same.p, same.better) == (0, 0, 0, 1, False)


def test_five_null_finalists_are_rarely_called_better() -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        scores = {name: list(rng.normal(0.8, 0.01, 10)) for name in "abcdef"}
        wrong += any(c.better for c in compare(scores, [(name, "f") for name in "abcde"]))
    # 2.5 % on the better side at most; 200 draws leave it under 6 %.
    assert wrong <= 12


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        scores = {"a": list(rng.normal(0.81, 0.02, 10)), "b": list(rng.normal(0.80, 0.02, 10))}
        (found,) = compare(scores, [("a", "b")])
        covered += found.low <= 0.01 <= found.high
    assert 0.86 <= covered / 300 <= 0.99


def test_unequal_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="same seeds"):
        compare({"a": [0.1, 0.2], "b": [0.1]}, [("a", "b")])
