"""The genetic algorithm: who becomes a parent, and how often."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from family import Family, never_ranks, seen
from surroundings import surroundings

from actsearch.errors import ConfigError
from actsearch.search.strategies.genetic import GeneticSearch, GeneticSettings
from actsearch.search.strategies.strategy import Observation


def genetic(observed: list[Observation], **settings: Any) -> GeneticSearch:
    """After these observations; without newcomers unless they are asked for."""
    strategy = GeneticSearch(
        surroundings(Family()), GeneticSettings(**{"newcomers": 0, **settings})
    )
    for observation in observed:
        strategy.observe(observation)
    return strategy


def proposed(strategy: GeneticSearch, times: int) -> Counter[str]:
    return Counter(
        strategy.propose(np.random.default_rng(seed)).decisions["name"] for seed in range(times)
    )


@pytest.mark.parametrize(
    ("temperature", "share"),
    # exp(0.9) / (exp(0.9) + exp(0.1)), and the same of 9 and 1.
    [(1.0, 0.6899745), (0.1, 0.9996646)],
)
def test_both_parents_are_drawn_by_softmax_with_replacement(
    temperature: float, share: float
) -> None:
    observed = [seen("a", 0.9), seen("b", 0.1)]
    found = proposed(genetic(observed, population_size=2, temperature=temperature), 4000)
    for mother, chance_of_mother in (("a", share), ("b", 1 - share)):
        for father, chance_of_father in (("a", share), ("b", 1 - share)):
            chance = chance_of_mother * chance_of_father
            count = found[f"child of {mother} and {father}"]
            assert abs(count - 4000 * chance) <= 1 + 4 * (4000 * chance * (1 - chance)) ** 0.5
    assert found.total() == sum(found[f"child of {m} and {f}"] for m in "ab" for f in "ab")


def test_parents_are_the_best_of_all_that_was_ever_seen() -> None:
    observed = [
        seen("a", 0.2, rungs=2),
        seen("b", 0.3, rungs=2),
        seen("high at the first rung", 0.9),
        *(seen("low", 0.1, rungs=2) for _ in range(5)),
        seen("c", 0.4, rungs=2),
    ]
    found = proposed(genetic(observed, population_size=3), 400)
    assert set(found) == {f"child of {m} and {f}" for m in "abc" for f in "abc"}


def test_one_proposal_in_population_size_over_newcomers_is_random() -> None:
    observed = [seen("a", 0.5) for _ in range(8)]
    found = proposed(genetic(observed, population_size=8, newcomers=2), 2000)
    assert set(found) == {"new", "child of a and a"}
    assert abs(found["new"] - 500) < 4 * (2000 * 0.25 * 0.75) ** 0.5


def test_random_until_the_population_is_full_of_what_ranks() -> None:
    strategy = genetic([seen("a", 0.5), *never_ranks()], population_size=2)
    assert proposed(strategy, 10) == {"new": 10}
    strategy.observe(seen("a", 0.4))
    assert proposed(strategy, 10) == {"child of a and a": 10}


def test_of_equals_the_older_ones_stay() -> None:
    observed = [seen("old", 0.5), seen("old", 0.5), seen("young", 0.5)]
    assert proposed(genetic(observed, population_size=2), 20) == {"child of old and old": 20}


def test_scores_of_any_size_are_weighed() -> None:
    observed = [seen("a", -1e9), seen("b", 1e9)]
    assert proposed(genetic(observed, population_size=2), 20) == {"child of b and b": 20}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("population_size", 1),
        ("newcomers", -1),
        ("newcomers", 51),
        ("temperature", 0.0),
        ("temperature", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"setting strategy\.{name}={value!r} must be"):
        GeneticSettings(**{name: value})
