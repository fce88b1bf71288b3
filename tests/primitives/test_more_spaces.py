"""Laws that hold for four-node, correction, rational and piecewise alike, at several settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import ConfigError
from actsearch.primitives import parse
from actsearch.primitives.spaces import Space, replay
from actsearch.primitives.spaces.correction import Correction
from actsearch.primitives.spaces.four_node import FourNode
from actsearch.primitives.spaces.piecewise import Piecewise
from actsearch.primitives.spaces.rational import Rational

spaces = st.sampled_from(
    [
        *(
            kind(operators, scope)
            for kind in (FourNode, Correction, Piecewise)
            for operators, scope in [("swish-2017", "channel"), ("pangaea-2022", "tensor")]
        ),
        *(Rational(5, 4, trained) for trained in ("tensor", "channel", "frozen")),
        Rational(1, 9),
        Rational(9, 1),
    ]
)
seeds = st.integers(0, 2**32 - 1)


@given(spaces, seeds)
def test_samples_replay_print_and_parse_back(space: Space, seed: int) -> None:
    proposal = space.sample(np.random.default_rng(seed))
    again = replay(space, proposal.decisions)
    assert again.expr == proposal.expr
    assert list(again.decisions.items()) == list(proposal.decisions.items())
    assert parse(str(proposal.expr)) == proposal.expr


@given(spaces, seeds)
def test_the_same_seed_gives_the_same_parents_and_children(space: Space, seed: int) -> None:
    def family() -> list[str]:
        rng = np.random.default_rng(seed)
        mother, father = (space.sample(rng).decisions for _ in range(2))
        children = space.mutate(mother, rng), space.crossover(mother, father, rng)
        return [str(child.expr) for child in children]

    assert family() == family()


@given(spaces, seeds)
def test_a_mutation_changes_one_answer_and_stays_in_the_space(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = space.sample(rng).decisions
    child = space.mutate(parent, rng)
    assert replay(space, child.decisions).expr == child.expr
    common = [slot for slot in parent if slot in child.decisions]
    changed = [slot for slot in common if parent[slot] != child.decisions[slot]]
    if list(parent) == list(child.decisions) and "shape" not in changed:
        assert len(changed) == 1
    else:
        assert {"shape", "term.kind", "positive.form", "negative.form"} & set(changed)


@given(spaces, seeds)
def test_a_child_of_two_has_every_shared_answer_from_one_of_them(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, father = (space.sample(rng).decisions for _ in range(2))
    child = space.crossover(mother, father, rng)
    assert replay(space, child.decisions).expr == child.expr
    inherited = [
        option in (mother.get(slot), father.get(slot)) for slot, option in child.decisions.items()
    ]
    # A node of a four-node child may have an operator of another arity than in both parents.
    assert isinstance(space, FourNode) or all(inherited)


@pytest.mark.parametrize("kind", [FourNode, Correction, Piecewise])
def test_wrong_operator_sets_and_scopes_are_refused_by_name(kind: type) -> None:
    with pytest.raises(ConfigError, match="unknown operator set 'swish'"):
        kind("swish")
    with pytest.raises(ConfigError, match="beta_scope='layer'"):
        kind(beta_scope="layer")
