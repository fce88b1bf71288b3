"""The controller learns from late results, and learns the same when they are replayed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
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
    propose,
    replay,
)
from actsearch.search.strategies.reinforce import Reinforce, ReinforceSettings
from actsearch.search.strategies.reward import as_number, undominated_shares


@dataclass(frozen=True)
class Pairs(Space):
    """Two questions of two answers each."""

    name: ClassVar[str] = "pairs"

    @property
    def size(self) -> int:
        return 4

    def build(self, choose: Choose) -> Expr:
        choose("first", ("a", "b"))
        choose("second", ("a", "b"))
        return Input("x")


def controller(space: Space, objectives: int = 1, **settings: Any) -> Reinforce:
    return Reinforce(surroundings(space, objectives=objectives), ReinforceSettings(**settings))


def pair(first: str, second: str) -> Proposal:
    answers = {"first": first, "second": second}
    return propose(Pairs(), lambda slot, options: answers[slot])


def share(strategy: Reinforce, wanted: dict[str, str], times: int = 600) -> float:
    """Of proposals with these answers."""
    proposals = [strategy.propose(np.random.default_rng([7, n])) for n in range(times)]
    return sum(wanted.items() <= p.decisions.items() for p in proposals) / times


def product_of_x(decisions: Decisions) -> float:
    """Best for products, and better with x on the left or a sigmoid on the right."""
    return (
        1.0 * (decisions["unit1.binary"] == "mul(x, y)")
        + 0.3 * (decisions["unit1.left"] == "x")
        + 0.3 * (decisions["unit1.right"] == "sigmoid(x)")
    )


@pytest.mark.parametrize("name", SPACES)
def test_the_same_observations_give_the_same_proposals(name: str) -> None:
    space = SPACES[name]()

    def run() -> list[Proposal]:
        strategy = controller(space, batch_size=4)
        _, proposals = search(strategy, lambda d: len(str(d)) % 7, 14, seed=3, lookback=3)
        return proposals

    proposals = run()
    assert run() == proposals
    assert [list(p.decisions) for p in run()] == [list(p.decisions) for p in proposals]
    for proposal in proposals:
        assert replay(space, proposal.decisions) == proposal


@pytest.mark.parametrize("seed", range(2))
def test_products_are_found_to_be_good_within_some_hundred_candidates(seed: int) -> None:
    def products(**settings: Any) -> float:
        strategy = controller(UnaryBinary(units=1), **settings)
        trained, _ = search(strategy, product_of_x, 350, seed)
        latest = [o.decisions for o in trained[-80:] if o.decisions is not None]
        return sum(d["unit1.binary"] == "mul(x, y)" for d in latest) / len(latest)

    # One in ten by chance.
    assert products() > 0.6
    assert products(learning_rate=3.5e-4, entropy_weight=1e-5) < 0.3


def test_an_answer_depends_on_the_one_before() -> None:
    strategy = controller(Pairs(), draws=1, entropy_weight=0.05)
    for n in range(600):
        proposal = strategy.propose(np.random.default_rng([1, n]))
        alike = proposal.decisions["first"] == proposal.decisions["second"]
        strategy.observe(observed(proposal, float(alike)))
    both = [share(strategy, {"first": answer, "second": answer}, 300) for answer in "ab"]
    assert sum(both) > 0.85
    assert min(both) > 0.1


def test_a_batch_moves_odds_up_to_the_clip_however_many_steps_it_gets() -> None:
    shares = []
    for clip in (0.2, 0.6):
        settings: dict[str, Any] = {"batch_size": 2, "epochs": 300, "learning_rate": 1e-3}
        strategy = controller(Pairs(), draws=1, entropy_weight=0, clip=clip, **settings)
        for first, score in (("a", 1.0), ("b", 0.0)):
            strategy.observe(observed(pair(first, "a"), score))
        shares.append(share(strategy, {"first": "a"}))
    # From 1/2 to (1 + clip) / 2, and a little further, since Adam does not stop at once.
    assert shares == pytest.approx([0.6, 0.8], abs=0.06)


def test_what_another_strategy_proposed_is_learnt_from() -> None:
    strategy = controller(Pairs(), draws=1)
    for _ in range(150):
        strategy.observe(observed(pair("a", "b"), 1.0))
        strategy.observe(observed(pair("b", "b"), 0.0))
    assert share(strategy, {"first": "a"}, 300) > 0.9


def test_a_candidate_that_diverged_is_the_worst_however_cheap_it_is() -> None:
    strategy = controller(Pairs(), objectives=2, draws=1)
    for _ in range(150):
        strategy.observe(observed(pair("a", "b"), -1e9, (5.0,)))
        strategy.observe(observed(pair("b", "b"), None, (0.0,)))
    assert share(strategy, {"first": "a"}, 300) > 0.9


def test_a_known_activation_changes_nothing() -> None:
    told, untold = controller(Pairs(), batch_size=1), controller(Pairs(), batch_size=1)
    told.observe(replace(observed(pair("a", "a"), 1.0), decisions=None))
    for n in range(8):
        rng = (np.random.default_rng(n) for _ in range(2))
        assert told.propose(next(rng)) == untold.propose(next(rng))


def test_a_candidate_is_proposed_again_only_when_the_space_seems_empty() -> None:
    strategy = controller(Pairs())
    proposals = [strategy.propose(np.random.default_rng(n)) for n in range(6)]
    assert len({str(p.decisions) for p in proposals[:4]}) == 4


def test_the_number_of_a_standing_is_in_the_order_of_standings() -> None:
    scores = (-1e9, -40.0, -0.2, 0.0, 0.31, 0.311, 1.0, 97.2, 1e9)
    standings = [(rungs, score) for rungs in (1, 2, 3) for score in scores]
    numbers = [as_number(standing) for standing in standings]
    assert numbers == sorted(set(numbers))
    assert all(math.isfinite(number) for number in numbers)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_undominated_share_counts_what_is_better(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    among = rng.integers(0, 4, (30, objectives)).astype(float)
    some = among[:9]
    expected = [
        sum(
            not (
                all(b >= a for a, b in zip(row, other, strict=True)) and tuple(other) != tuple(row)
            )
            for other in among
        )
        / len(among)
        for row in some
    ]
    assert undominated_shares(some, among) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("units", 0),
        ("initial_range", 0.0),
        ("learning_rate", -1.0),
        ("entropy_weight", float("nan")),
        ("baseline_decay", 1.0),
        ("batch_size", 0),
        ("epochs", 0),
        ("clip", 1.0),
        ("draws", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"strategy.{setting}="):
        ReinforceSettings(**{setting: value})
