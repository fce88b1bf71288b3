"""Aging evolution: who wins a tournament, who enters the population, and who leaves it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from family import Family, never_ranks, seen
from surroundings import surroundings

from actsearch.errors import ConfigError
from actsearch.evaluators.result import Result, Status
from actsearch.primitives import known_layers, read_formula
from actsearch.primitives.spaces import EvoNorm
from actsearch.search.strategies.evolution import AgingEvolution, EvolutionSettings
from actsearch.search.strategies.strategy import Observation


def evolution(observed: list[Observation], **settings: Any) -> AgingEvolution:
    """After these observations; without crossover and newcomers unless they are asked for."""
    chosen = {"crossover": 0.0, "fresh": 0.0, **settings}
    objectives = 1 + len(observed[0].costs) if observed else 1
    strategy = AgingEvolution(
        surroundings(Family(), objectives=objectives), EvolutionSettings(**chosen)
    )
    for observation in observed:
        strategy.observe(observation)
    return strategy


def proposed(strategy: AgingEvolution, times: int) -> Counter[str]:
    return Counter(
        strategy.propose(np.random.default_rng(seed)).decisions["name"] for seed in range(times)
    )


def test_a_tournament_of_all_is_won_by_the_most_rungs_and_then_the_highest_score() -> None:
    observed = [
        seen("high at the first rung", 0.9, rungs=1),
        seen("best", 0.3, rungs=2),
        seen("second", 0.2, rungs=2),
    ]
    strategy = evolution(observed, population_size=3, tournament_size=3)
    assert proposed(strategy, 20) == {"child of best": 20}


def test_a_tournament_of_two_is_won_by_each_rank_as_often_as_counted_by_hand() -> None:
    observed = [seen(str(rank), 0.1 * rank) for rank in range(4)]
    found = proposed(evolution(observed, population_size=4, tournament_size=2), 3000)
    # Of the six pairs of four, rank 3 wins three, rank 2 two, rank 1 one and rank 0 none.
    assert set(found) == {"child of 1", "child of 2", "child of 3"}
    for rank in (1, 2, 3):
        share = rank / 6
        spread = (3000 * share * (1 - share)) ** 0.5
        assert abs(found[f"child of {rank}"] - 3000 * share) < 4 * spread


def test_with_further_objectives_each_member_of_the_front_wins_equally_often() -> None:
    observed = [
        seen("best", 0.9, 5.0, 4.0),
        seen("cheap", 0.8, 3.0, 4.0),
        seen("as good as best, and dearer", 0.9, 6.0, 4.0),
        seen("worse than cheap in all", 0.7, 4.0, 5.0),
        seen("simple", 0.1, 9.0, 1.0),
    ]
    found = proposed(evolution(observed, population_size=5, tournament_size=5), 900)
    assert set(found) == {"child of best", "child of cheap", "child of simple"}
    assert all(abs(count - 300) < 4 * 200**0.5 for count in found.values())


def test_a_front_is_that_of_the_tournament_not_of_the_population() -> None:
    observed = [seen("best", 0.9, 1.0), seen("worse", 0.8, 2.0), seen("worst", 0.7, 3.0)]
    found = proposed(evolution(observed, population_size=3, tournament_size=2), 600)
    # Worse wins when it is drawn with worst: one of three pairs.
    assert set(found) == {"child of best", "child of worse"}
    assert abs(found["child of worse"] - 200) < 4 * (600 * 2 / 9) ** 0.5


def test_the_oldest_leaves_even_if_it_is_the_best() -> None:
    observed = [seen("best", 0.9), seen("second", 0.8), seen("third", 0.7)]
    strategy = evolution(observed, population_size=2, tournament_size=2)
    assert proposed(strategy, 10) == {"child of second": 10}


def test_what_never_ranks_and_known_activations_stay_out() -> None:
    strategy = evolution([seen("only", 0.1), *never_ranks()], population_size=2, tournament_size=2)
    assert proposed(strategy, 10) == {"new": 10}
    strategy.observe(seen("other", 0.2))
    assert proposed(strategy, 10) == {"child of other": 10}


def test_scores_below_the_least_never_enter() -> None:
    settings = {"population_size": 2, "tournament_size": 2, "least_score": 0.2}
    strategy = evolution([seen("low", 0.19, rungs=2), seen("enough", 0.2)], **settings)
    assert proposed(strategy, 10) == {"new": 10}
    strategy.observe(seen("good", 0.3))
    assert proposed(strategy, 10) == {"child of good": 10}


def test_scores_may_be_negative() -> None:
    observed = [seen("good", -2.0), seen("bad", -3.0)]
    assert proposed(evolution(observed, population_size=2, tournament_size=2), 5) == {
        "child of good": 5
    }


def test_a_child_is_mutated_as_often_as_asked_for_and_one_of_two_parents_is_not() -> None:
    settings = {"population_size": 2, "tournament_size": 2, "mutations": 3}
    observed = [seen("a", 0.5), seen("b", 0.4)]
    thrice = "child of child of child of a"
    assert proposed(evolution(observed, **settings), 5) == {thrice: 5}
    found = proposed(evolution(observed, crossover=0.5, **settings), 20)
    assert set(found) == {thrice, "a and a"}


def test_shares_of_crossover_and_newcomers() -> None:
    observed = [seen("a", 0.5), seen("b", 0.4)]
    strategy = evolution(observed, population_size=2, tournament_size=2, crossover=0.25, fresh=0.2)
    found = proposed(strategy, 2000)
    assert set(found) == {"new", "a and a", "child of a"}
    assert abs(found["new"] - 400) < 4 * 320**0.5
    assert abs(found["a and a"] - 400) < 4 * 320**0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("population_size", 1),
        ("tournament_size", 0),
        ("tournament_size", 65),
        ("mutations", 0),
        ("initial", -1),
        ("initial", 65),
        ("crossover", 1.5),
        ("fresh", -0.1),
        ("fresh", float("nan")),
        ("least_score", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"setting strategy\.{name}={value!r} must be"):
        EvolutionSettings(**{name: value})


def test_tournaments_begin_with_the_members_asked_for_and_known_layers_are_members() -> None:
    space = EvoNorm()
    settings = EvolutionSettings(
        population_size=8, tournament_size=4, initial=2, from_known=True, fresh=0.0, crossover=0.0
    )
    strategy = AgingEvolution(surroundings(space), settings)
    random = strategy.propose(np.random.default_rng(0)).decisions
    assert random == space.sample(np.random.default_rng(0)).decisions
    for name in ("evonorm_s0", "bn_relu", "gn_silu"):
        expr = known_layers()[name].expr
        result = Result("", Status.COMPLETE, (0.8,))
        strategy.observe(Observation(expr, None, result, (1, 0.8)))
    # BatchNorm is no member of series S.
    parents = [decisions for _, decisions in strategy.population]
    assert parents == [space.decisions_of(read_formula(n)) for n in ("evonorm_s0", "gn_silu")]
    for seed in range(10):
        child = strategy.propose(np.random.default_rng(seed)).decisions
        changed = [sum(child[k] != parent.get(k) for k in child) for parent in parents]
        assert min(changed) <= 3
