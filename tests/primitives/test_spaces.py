"""Spaces are decision programs: what they hold, and that mutation and crossover stay inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import ConfigError
from actsearch.evaluators.screens import DuplicateScreen, fingerprint
from actsearch.primitives import Parameter, parameters, parse, read_formula
from actsearch.primitives.expr import postorder
from actsearch.primitives.spaces import UnaryBinary, propose, replay
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS

SPACES = [
    UnaryBinary(units, operators)
    for units in (1, 2, 3)
    for operators in ("swish-2017", "pangaea-2022")
]
spaces = st.sampled_from(SPACES)
seeds = st.integers(0, 2**32 - 1)


def answers_of(space: UnaryBinary) -> int:
    """Number of answer sequences, by walking the whole decision tree."""
    count = 0
    stack: list[tuple[str, ...]] = [()]
    while stack:
        given_answers = stack.pop()
        left = list(given_answers)
        open_options: list[str] = []

        class Asked(Exception):
            pass

        def choose(slot, options, left=left, open_options=open_options, stop=Asked):
            if left:
                return left.pop(0)
            open_options.extend(options)
            raise stop

        try:
            space.build(choose)
            count += 1
        except Asked:
            stack.extend((*given_answers, option) for option in open_options)
    return count


@pytest.mark.parametrize(
    ("operators", "size"), [("swish-2017", 25**2 * 10), ("pangaea-2022", 27**2 * 7)]
)
def test_one_unit_has_the_published_size_and_enumerates_to_it(operators: str, size: int) -> None:
    space = UnaryBinary(1, operators)
    assert space.size == size
    assert answers_of(space) == size


def test_sizes_of_deeper_spaces_follow_the_product_over_units() -> None:
    assert UnaryBinary(2).size == 6_250 + 6_250 * 4 * 6_250
    assert UnaryBinary(3).size == UnaryBinary(2).size + 6_250 * 4 * 6_250 * 9 * 6_250


def test_operator_sets_have_the_published_numbers_of_distinct_operators() -> None:
    counts = {"swish-2017": (25, 10), "pangaea-2022": (27, 7), "gecco-2020": (24, 6)}
    for name, operators in OPERATOR_SETS.items():
        assert (len(set(operators.unary)), len(set(operators.binary))) == counts[name]


def one_unit(binary: str, left: str, right: str) -> dict[str, str]:
    return {"units": "1", "unit1.binary": binary, "unit1.left": left, "unit1.right": right}


def square_of(inner: str, binary: str, left: str, right: str, reads: str) -> dict[str, str]:
    """A second unit over max(inner, inner), which is inner."""
    other = {"left": "right", "right": "left"}[reads]
    return {
        **one_unit("max(x, y)", inner, inner),
        "units": "2",
        "unit2.binary": binary,
        "unit2.left": left,
        "unit2.right": right,
        f"unit2.{reads}.input": "unit1",
        f"unit2.{other}.input": "x",
    }


@pytest.mark.parametrize(
    ("winner", "decisions"),
    [
        ("x*sigmoid(beta[1, channel]*x)", one_unit("mul(sigmoid(x), y)", "mul(beta[1], x)", "x")),
        ("max(x, sigmoid(x))", one_unit("max(x, y)", "x", "sigmoid(x)")),
        ("cos(x) - x", one_unit("sub(x, y)", "cos(x)", "x")),
        ("min(x, sin(x))", one_unit("min(x, y)", "x", "sin(x)")),
        ("max(x, tanh(x))", one_unit("max(x, y)", "x", "tanh(x)")),
        ("sinc(x) + x", one_unit("add(x, y)", "sinc(x)", "x")),
        (
            "square(atan(x)) - x",
            square_of("atan(x)", "sub(x, y)", "square(x)", "x", reads="left"),
        ),
        (
            "x*square(asinh(x))",
            square_of("asinh(x)", "mul(x, y)", "x", "square(x)", reads="right"),
        ),
    ],
)
def test_the_named_winners_of_2017_are_in_the_space(winner: str, decisions: dict[str, str]) -> None:
    screen = DuplicateScreen()
    screen.remember(fingerprint(read_formula(winner)), winner)
    built = replay(UnaryBinary(2), decisions).expr
    assert screen.find(fingerprint(built)) == winner


@given(spaces, seeds)
def test_replay_of_the_recorded_answers_gives_the_same_candidate(
    space: UnaryBinary, seed: int
) -> None:
    proposal = space.sample(np.random.default_rng(seed))
    again = replay(space, proposal.decisions)
    assert again.expr == proposal.expr
    assert dict(again.decisions) == dict(proposal.decisions)


@given(spaces, seeds)
def test_candidates_of_a_space_print_and_parse_back(space: UnaryBinary, seed: int) -> None:
    expr = space.sample(np.random.default_rng(seed)).expr
    assert parse(str(expr)) == expr


@given(spaces, seeds)
def test_a_mutation_differs_in_one_answer_and_stays_in_the_space(
    space: UnaryBinary, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parent = space.sample(rng)
    child = space.mutate(parent.decisions, rng)
    assert replay(space, child.decisions).expr == child.expr
    common = set(parent.decisions) & set(child.decisions)
    changed = [slot for slot in common if parent.decisions[slot] != child.decisions[slot]]
    assert len(changed) <= 1
    if parent.decisions["units"] == child.decisions["units"] and space.units > 0:
        assert set(parent.decisions) == set(child.decisions)


@given(spaces, seeds)
def test_a_child_of_two_has_every_answer_from_one_of_them(space: UnaryBinary, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, father = space.sample(rng).decisions, space.sample(rng).decisions
    child = space.crossover(mother, father, rng)
    assert replay(space, child.decisions).expr == child.expr
    for slot, option in child.decisions.items():
        if slot in mother and slot in father:
            assert option in (mother[slot], father[slot])


@given(seeds)
def test_every_beta_of_a_candidate_is_a_parameter_of_its_own(seed: int) -> None:
    space = UnaryBinary(3, beta_scope="tensor")
    proposal = space.sample(np.random.default_rng(seed))
    found = [node for node in postorder(proposal.expr) if isinstance(node, Parameter)]
    assert [p.name for p in found] == [
        "beta" if number == 1 else f"beta{number}" for number in range(1, len(found) + 1)
    ]
    assert all(p.scope == "tensor" for p in parameters(proposal.expr))


def test_wrong_settings_and_answers_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="units=4"):
        UnaryBinary(4)
    with pytest.raises(ConfigError, match="unknown operator set 'swish'"):
        UnaryBinary(1, "swish")
    with pytest.raises(ConfigError, match="beta_scope='layer'"):
        UnaryBinary(1, beta_scope="layer")
    with pytest.raises(ValueError, match=r"slot 'units' has no option '7'"):
        propose(UnaryBinary(1), lambda slot, options: "7")
    with pytest.raises(ValueError, match=r"no answer for slot 'unit1\.binary'"):
        replay(UnaryBinary(1), {"units": "1"})
