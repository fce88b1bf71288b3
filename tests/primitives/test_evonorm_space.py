"""The space of normalisation-activation graphs: what it holds, and the paper's variation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from evonorm_graphs import ADD, DIV, LOG, MAX, MUL, NEG, SQRT, built, decisions
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import ConfigError
from actsearch.primitives import (
    Layer,
    infix,
    inputs,
    module_of,
    moments,
    node_count,
    parameters,
    parse,
    reads_batch,
)
from actsearch.primitives.spaces import SPACES, EvoNorm, Proposal, enumerated, propose, replay
from actsearch.primitives.zoo import known_layers

ALL = [
    EvoNorm(nodes, series, tokens, operators)
    for nodes in (1, 4, 10)
    for series in ("S", "B")
    for tokens in (False, True)
    for operators in ("evonorm-2020", "extended")
]
spaces, seeds = st.sampled_from(ALL), st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("space", [s for s in ALL if s.nodes == 1], ids=str)
def test_one_node_enumerates_to_its_size(space: EvoNorm) -> None:
    unary = 8 + 3 * (3 + (space.series == "B") + 2 * space.token_sets)
    unary += space.operators == "extended"
    assert space.size == unary * 4 + 4 * 4**2
    answers = [tuple(p.decisions.items()) for p in enumerated(space)]
    assert len(answers) == len(set(answers)) == space.size


def test_size_multiplies_over_nodes() -> None:
    assert sum(1 for _ in enumerated(EvoNorm(2))) == EvoNorm(2).size == 132 * (17 * 5 + 4 * 25)
    assert EvoNorm(3).size == EvoNorm(2).size * (17 * 6 + 4 * 36)


def test_moments_are_those_of_the_setting() -> None:
    def sets(space: EvoNorm) -> set[str]:
        found = [node for p in enumerated(space) for node in moments(p.expr)]
        return {node.operator.name.partition("_")[2] for node in found}

    series_s = {"layer", "instance", "group"}
    assert sets(EvoNorm(1, "S")) == series_s
    assert sets(EvoNorm(1, "B")) == series_s | {"batch"}
    assert sets(EvoNorm(1, "S", token_sets=True)) == series_s | {"token", "token_group"}


@given(spaces, seeds)
def test_a_sample_replays_parses_back_and_reads_the_batch_only_in_the_b_series(
    space: EvoNorm, seed: int
) -> None:
    proposal = space.sample(np.random.default_rng(seed))
    again = replay(space, proposal.decisions)
    assert again.expr == proposal.expr
    assert dict(again.decisions) == dict(proposal.decisions)
    assert parse(proposal.expr.text) == parse(infix(proposal.expr)) == proposal.expr
    assert set(inputs(proposal.expr)) <= {"x"}
    assert {p.name for p in parameters(proposal.expr)} <= {"v0", "v1", "gamma", "beta"}
    assert space.series == "B" or not reads_batch(proposal.expr)


@given(spaces, seeds, st.floats(0, 1))
def test_graphs_that_read_their_last_nodes_again_and_again_parse_back(
    space: EvoNorm, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)

    def answer(slot: str, options: Sequence[str]) -> str:
        if slot.endswith("operator"):
            longest = [SQRT, LOG, DIV, MUL, options[-5]]
            return longest[rng.integers(5)] if rng.random() < share else rng.choice(options)
        return options[-1] if rng.random() < share else rng.choice(options)

    expr = propose(space, answer).expr
    assert parse(expr.text) == parse(infix(expr)) == expr


def test_a_node_that_would_print_too_long_is_its_first_predecessor() -> None:
    doubling = [(ADD, "x", "x"), *((ADD, f"node{n}", f"node{n}") for n in range(4, 13))]
    expr = built(EvoNorm(10), *doubling)
    # 255 nodes are the eighth doubling's half; one more would be 511.
    assert node_count(expr) == 255 + 4
    module = module_of(expr, 1)
    torch.testing.assert_close(module(torch.ones(2, 1)), torch.full((2, 1), 2.0**7))


def test_what_the_output_does_not_read_is_no_part_of_the_layer() -> None:
    live = built(EvoNorm(1), ("std_layer(x)", "x"))
    dead = [("std_group(x)", "v1"), (MUL, "node4", "v0"), ("std_layer(x)", "x")]
    assert built(EvoNorm(3), *dead) == live
    assert [p.name for p in parameters(live)] == ["gamma", "beta"]


def test_a_node_that_is_read_twice_is_one_expression() -> None:
    expr = built(EvoNorm(2), ("std_layer(x)", "x"), (MUL, "node4", "node4"))
    assert len(moments(expr)) == 1


@pytest.mark.parametrize(
    ("nodes", "function"),
    [
        ([(SQRT, "x")], lambda x: x.sign() * (x.abs() + 1e-5).sqrt()),
        ([(LOG, "x")], lambda x: x.sign() * (x.abs() + 1e-5).log()),
        ([(DIV, "v1", "x")], lambda x: 1 / (x + 1e-5)),
        ([(DIV, "x", "zero")], lambda x: x / 1e-5),
        ([("abs(x)", "x"), (DIV, "x", "node4")], lambda x: x / (x.abs() + 1e-5)),
    ],
)
def test_roots_logarithms_and_quotients_are_guarded(nodes, function) -> None:
    module = module_of(built(EvoNorm(2), *nodes), 1).double()
    x = torch.tensor([[0.0], [1e-9], [-1e-9], [0.5], [-3.0], [200.0]], dtype=torch.float64)
    x.requires_grad_()
    value, expected = module(x), function(x)
    torch.testing.assert_close(value, expected)
    (slope,) = torch.autograd.grad(value.sum(), x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    # sign(0) = 0, so that the slope of a root at 0 is 0; torch's abs has slope 0 there too.
    assert torch.isfinite(slope).all()
    torch.testing.assert_close(slope, expected_slope)


def test_a_divisor_that_a_moment_keeps_above_zero_gets_no_second_epsilon() -> None:
    for nodes in (
        [("std_layer(x)", "x"), (DIV, "x", "node4")],
        [("rms_group(x)", "x"), (MAX, "v0", "node4"), (DIV, "x", "node5")],
    ):
        assert "1e-05" not in built(EvoNorm(4), *nodes).text
    for nodes in (
        [("mean_layer(x)", "x"), (DIV, "x", "node4")],
        [("std_layer(x)", "x"), (MUL, "v0", "node4"), (DIV, "x", "node5")],
    ):
        assert "1e-05" in built(EvoNorm(4), *nodes).text


@given(spaces, seeds)
def test_a_mutation_changes_exactly_one_node(space: EvoNorm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = space.sample(rng).decisions
    child = space.mutate(parent, rng)
    assert replay(space, child.decisions) == child
    assert len(changed_nodes(parent, child)) == 1


def changed_nodes(parent, child: Proposal) -> set[str]:
    different = dict(parent).items() ^ dict(child.decisions).items()
    return {slot.partition(".")[0] for slot, _ in different}


def assert_uniform(counts: Counter[str], options: Sequence[str]) -> None:
    assert set(counts) <= set(options)
    total = sum(counts.values())
    share = 1 / len(options)
    spread = (total * share * (1 - share)) ** 0.5
    for option in options:
        assert abs(counts[option] - total * share) < 4.5 * spread, (option, counts)


def test_mutation_draws_node_operator_and_predecessors_uniformly() -> None:
    space = EvoNorm(3)
    operators = list({p.decisions["node4.operator"] for p in enumerated(EvoNorm(1))})
    parent = replay(space, decisions([(NEG, "x")] * 3, 3)).decisions
    nodes, chosen, first, second = Counter(), Counter(), Counter(), Counter()
    for seed in range(6000):
        child = space.mutate(parent, np.random.default_rng(seed))
        (node,) = changed_nodes(parent, child)
        nodes[node] += 1
        if node == "node6":
            # A node stays the old one in 1 of 21 * 6 draws, which are drawn again.
            chosen[child.decisions["node6.operator"]] += 1
            first[child.decisions["node6.first"]] += 1
            if "node6.second" in child.decisions:
                second[child.decisions["node6.second"]] += 1
    known = ["x", "zero", "v0", "v1", "node4", "node5"]
    assert_uniform(nodes, ["node4", "node5", "node6"])
    assert_uniform(chosen, operators)
    assert_uniform(first, known)
    assert_uniform(second, known)


def test_a_sample_is_the_random_graph_of_the_paper() -> None:
    operators, reads = Counter(), Counter()
    for seed in range(3000):
        made = EvoNorm(2).sample(np.random.default_rng(seed)).decisions
        operators[made["node5.operator"]] += 1
        reads[made["node5.first"]] += 1
    options = list({p.decisions["node4.operator"] for p in enumerated(EvoNorm(1))})
    assert len(options) == 12 + 9
    assert_uniform(operators, options)
    assert_uniform(reads, ["x", "zero", "v0", "v1", "node4"])


@given(spaces, seeds)
def test_a_child_of_two_has_each_node_whole_from_one_of_them(space: EvoNorm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, father = space.sample(rng).decisions, space.sample(rng).decisions
    child = space.crossover(mother, father, rng).decisions

    def node(decisions, name: str) -> dict[str, str]:
        return {slot: decisions[slot] for slot in decisions if slot.startswith(f"{name}.")}

    for number in range(4, 4 + space.nodes):
        name = f"node{number}"
        assert node(child, name) in (node(mother, name), node(father, name))


@pytest.mark.parametrize("seed", range(20))
def test_random_layers_run_and_every_parameter_that_is_read_has_a_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    space = EvoNorm(10, "B", token_sets=True, operators="extended")
    expr = space.sample(np.random.default_rng(seed)).expr
    module = module_of(expr, 8, groups=4)
    x = torch.randn(4, 8, 3, 3)
    module(x).square().sum().backward()
    trained = dict(module.named_parameters())
    assert {"gamma", "beta"} <= set(trained)
    assert all(parameter.grad is not None for parameter in trained.values())
    assert isinstance(module, Layer) == bool(moments(expr))


def test_the_space_says_that_it_replaces_norms_and_what_it_is_shown_beside() -> None:
    assert SPACES["evonorm"] is EvoNorm
    assert [name for name, space in SPACES.items() if space.replaces_norm] == ["evonorm"]
    assert set(EvoNorm.references) <= set(known_layers())


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="nodes=11 must be 1 to 10"):
        EvoNorm(11)
    with pytest.raises(ConfigError, match="nodes=0"):
        EvoNorm(0)
    with pytest.raises(ConfigError, match="series='A' must be B or S"):
        EvoNorm(series="A")
    with pytest.raises(ConfigError, match="operators='swish-2017' must be evonorm-2020 or ext"):
        EvoNorm(operators="swish-2017")
