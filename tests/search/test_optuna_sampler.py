"""Optuna's samplers on decisions: replayed, learning, silent, and at an end when the space is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from delayed_search import observed, search
from surroundings import surroundings

from actsearch.errors import ConfigError
from actsearch.primitives import Expr, Input
from actsearch.primitives.spaces import (
    SPACES,
    Choose,
    Decisions,
    Proposal,
    Space,
    UnaryBinary,
    enumerated,
    replay,
)
from actsearch.search.strategies.optuna_sampler import OptunaSampler, OptunaSettings

ONE_UNIT = UnaryBinary(units=1)


@dataclass(frozen=True)
class Branches(Space):
    """The second question and its options depend on the first answer."""

    name: ClassVar[str] = "branches"

    @property
    def size(self) -> int:
        return 6

    def build(self, choose: Choose) -> Expr:
        kind = choose("kind", ("none", "few", "many"))
        if kind != "none":
            choose("which", ("a", "b") if kind == "few" else ("a", "b", "c"))
        return Input("x")


def sampler(space: Space, name: str, objectives: int = 1, **options: Any) -> OptunaSampler:
    return OptunaSampler(surroundings(space, objectives=objectives), OptunaSettings(name, options))


def is_product(decisions: Decisions) -> bool:
    return decisions["unit1.binary"] == "mul(x, y)"


def product_of_x(decisions: Decisions) -> float:
    return (
        1.0 * is_product(decisions)
        + 0.3 * (decisions["unit1.left"] == "x")
        + 0.3 * (decisions["unit1.right"] == "sigmoid(x)")
    )


def assert_replayed(space: Space, run: Callable[[], list[Proposal]]) -> None:
    proposals = run()
    assert run() == proposals
    for proposal in proposals:
        assert replay(space, proposal.decisions) == proposal


@pytest.mark.parametrize("name", SPACES)
def test_the_same_observations_give_the_same_proposals_on_every_space(name: str) -> None:
    space = SPACES[name]()
    assert_replayed(
        space,
        lambda: search(sampler(space, "tpe"), lambda d: len(str(d)) % 7, 18, 3, lookback=3)[1],
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gp", {"n_startup_trials": 4}),
        ("nsga2", {"population_size": 5}),
        ("nsgaiii", {"population_size": 5}),
        ("qmc", {}),
        ("random", {}),
        ("brute-force", {}),
        ("tpe", {"constant_liar": False, "n_startup_trials": 4}),
    ],
)
def test_every_sampler_gives_the_same_proposals_again_and_says_nothing(
    name: str, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    space = UnaryBinary(units=2)

    def run() -> list[Proposal]:
        strategy = sampler(space, name, **options)
        return search(strategy, lambda d: len(str(d)) % 7, 14, seed=5, lookback=3)[1]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_replayed(space, run)
    assert capfd.readouterr() == ("", "")


def test_the_seed_of_the_run_decides_the_first_proposals() -> None:
    first = [search(sampler(ONE_UNIT, "tpe"), product_of_x, 4, seed)[1] for seed in (0, 1)]
    assert first[0] != first[1]


@pytest.mark.parametrize(("name", "options"), [("tpe", {}), ("nsga2", {"population_size": 20})])
def test_products_are_found_to_be_good_within_some_hundred_candidates(
    name: str, options: dict[str, Any]
) -> None:
    trained, _ = search(sampler(ONE_UNIT, name, **options), product_of_x, 240, seed=0)
    latest = [o.decisions for o in trained[-60:] if o.decisions is not None]
    # One in ten by chance.
    assert sum(map(is_product, latest)) / len(latest) > 0.4


def test_tpe_turns_away_from_what_is_screened_out() -> None:
    strategy = sampler(ONE_UNIT, "tpe")
    _, proposals = search(
        strategy, lambda d: 0.5, 60, seed=0, screened_out=lambda d: not is_product(d), lookback=4
    )
    # One in ten by chance.
    assert sum(is_product(p.decisions) for p in proposals[-60:]) / 60 > 0.3


def test_tpe_turns_away_from_what_diverges() -> None:
    def score(decisions: Decisions) -> float | None:
        return 0.5 if is_product(decisions) else None

    trained, _ = search(sampler(ONE_UNIT, "tpe"), score, 150, seed=0, lookback=4)
    assert sum(o.standing is not None for o in trained[-60:]) / 60 > 0.3


@pytest.mark.parametrize("name", ["nsga2", "tpe"])
def test_two_objectives_are_both_pursued(name: str) -> None:
    operators = ("x", "neg(x)", "abs(x)", "square(x)", "cube(x)")

    def cost(decisions: Decisions) -> float:
        return float(decisions["unit1.left"] not in operators)

    strategy = sampler(ONE_UNIT, name, objectives=2)
    trained, _ = search(strategy, product_of_x, 200, seed=0, cost=cost)
    latest = [o.decisions for o in trained[-60:] if o.decisions is not None]
    # By chance 1 in 50 is both a product and cheap.
    assert sum(is_product(d) and not cost(d) for d in latest) / len(latest) > 0.1


def test_brute_force_asks_each_candidate_once_and_ends() -> None:
    strategy = sampler(Branches(), "bruteforce")
    trained, proposals = search(strategy, lambda d: 0.5, 100, seed=0, lookback=2)
    assert len(proposals) == len(trained) == Branches().size
    found = {tuple(p.decisions.items()) for p in proposals}
    assert found == {tuple(p.decisions.items()) for p in enumerated(Branches())}


def test_brute_force_leaves_out_what_another_strategy_proposed() -> None:
    strategy = sampler(Branches(), "bruteforce")
    other = list(enumerated(Branches()))[3]
    strategy.observe(observed(other, 0.5))
    _, proposals = search(strategy, lambda d: 0.5, 100, seed=0, lookback=2)
    assert len(proposals) == Branches().size - 1
    assert other not in proposals


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cmaes", {}, "varies numbers"),
        ("grid", {}, "bruteforce"),
        ("tpee", {}, "did you mean 'tpe'"),
        ("tpe", {"population_size": 3}, "population_size"),
        ("nsga2", {"population_size": 1}, "greater than or equal to 2"),
        ("tpe", {"seed": 3}, "seed"),
    ],
)
def test_what_optuna_cannot_do_is_refused_with_the_reason(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        OptunaSettings(name, options)
