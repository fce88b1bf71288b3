"""Trees: what the space holds, and what each mutation makes of a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import elu, logsigmoid, relu, silu, softplus

from actsearch.errors import ConfigError
from actsearch.primitives import parameters, parse
from actsearch.primitives.lowering.eager import evaluate
from actsearch.primitives.spaces import Proposal, Space, enumerated, replay
from actsearch.primitives.spaces.operator_sets import OPERATOR_SETS, OperatorSet
from actsearch.primitives.spaces.tree import Node, Tree

PANGAEA = OPERATOR_SETS["pangaea-2022"]
SWISH = "mul(x, sigmoid(x))"
POINTS = torch.linspace(-3, 3, 61, dtype=torch.float64)

spaces = st.builds(Tree, st.sampled_from(list(OPERATOR_SETS)), st.integers(3, 7))
seeds = st.integers(0, 2**32 - 1)
trees = st.recursive(
    st.builds(Node, st.sampled_from(PANGAEA.unary)),
    lambda below: (
        st.builds(Node, st.sampled_from(PANGAEA.unary), st.tuples(below))
        | st.builds(Node, st.sampled_from(PANGAEA.binary), st.tuples(below, below))
    ),
    max_leaves=3,
).filter(lambda tree: tree.size <= Tree().max_nodes)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = OperatorSet(("x", "tanh(x)"), ("sub(x, y)",))
    monkeypatch.setitem(OPERATOR_SETS, "tiny", small)


def value(tree: Node, x: Tensor) -> Tensor:
    """What a tree computes, operator by operator."""
    first, *second = [value(child, x) for child in tree.children] or [x]
    arguments = {"x": first, **({"y": second[0]} if second else {})}
    return evaluate(parse(tree.operator, input_names=("x", "y")), arguments)


def decisions_of(tree: Node, *trained: str, path: str = "node") -> dict[str, str]:
    """Answers that build a tree with parameters on the given edges."""
    answers = {path: tree.operator}
    if len(tree.children) < 2:
        answers[f"{path}.reads"] = "node" if tree.children else "x"
    for number, child in enumerate(tree.children, start=1):
        answers |= decisions_of(child, path=f"{path}.{number}")
    if path == "node":
        answers["parameters"] = str(len(trained))
        answers |= {f"parameter{i}": edge for i, edge in enumerate(trained, start=1)}
    return answers


def tree_of(proposal: Proposal, path: str = "node") -> Node:
    answers = proposal.decisions
    below = [at for at in (f"{path}.1", f"{path}.2") if at in answers]
    return Node(answers[path], tuple(tree_of(proposal, at) for at in below))


def operators(tree: Node) -> list[str]:
    """From the root down, left to right."""
    return [tree.operator, *(name for child in tree.children for name in operators(child))]


def shape(tree: Node) -> tuple:
    return tuple(shape(child) for child in tree.children)


def binaries(tree: Node) -> int:
    return (len(tree.children) == 2) + sum(binaries(child) for child in tree.children)


def subtrees(tree: Node) -> list[Node]:
    return [tree, *(below for child in tree.children for below in subtrees(child))]


def with_one_subtree_replaced(tree: Node, new: Node) -> Iterator[Node]:
    yield new
    for i, child in enumerate(tree.children):
        for changed in with_one_subtree_replaced(child, new):
            yield Node(tree.operator, (*tree.children[:i], changed, *tree.children[i + 1 :]))


def chain(*names: str) -> Node:
    first, *rest = names
    return Node(first, (chain(*rest),) if rest else ())


# What the space holds


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("max_nodes", "max_parameters"), [(3, 0), (3, 3), (4, 3), (5, 1), (6, 0), (7, 0)]
)
def test_enumeration_has_as_many_different_answers_as_the_size(
    max_nodes: int, max_parameters: int
) -> None:
    space = Tree("tiny", max_nodes, max_parameters)
    found = [tuple(sorted(proposal.decisions.items())) for proposal in enumerated(space)]
    assert len(found) == len(set(found)) == space.size


def test_size_of_up_to_three_operators_is_the_sum_over_the_four_shapes() -> None:
    def choices(edges: int) -> int:
        return sum(comb(edges, k) for k in range(4))

    assert Tree(max_nodes=3, max_parameters=0).size == 27 + 27**2 + 27**3 + 7 * 27**2
    assert Tree(max_nodes=3).size == (
        27 * choices(2) + 27**2 * choices(3) + 27**3 * choices(4) + 7 * 27**2 * choices(5)
    )


@pytest.mark.parametrize(
    ("tree", "trained", "winner"),
    [
        (chain("neg(x)", SWISH, SWISH), ["node.1.1.input"], lambda x, a, b: -silu(silu(a * x))),
        (
            Node("mul(x, y)", (chain("log_sigmoid(x)"), chain("asinh(x)"))),
            ["node.1.input", "node.2.input"],
            lambda x, a, b: logsigmoid(a * x) * torch.asinh(b * x),
        ),
        (chain("softplus(x)", "elu(x)"), [], lambda x, a, b: softplus(elu(x))),
        (
            Node("min(x, y)", (chain(SWISH), chain("elu(x)", "relu(x)"))),
            ["node.2.output", "node.2.1.input"],
            lambda x, a, b: torch.minimum(silu(x), a * elu(relu(b * x))),
        ),
        (
            Node("min(x, y)", (chain("log_sigmoid(x)"), chain("log_sigmoid(x)"))),
            ["node.2.output", "node.2.input"],
            lambda x, a, b: torch.minimum(logsigmoid(x), a * logsigmoid(b * x)),
        ),
        (
            Node("max(x, y)", (chain(SWISH), chain("log_sigmoid(x)", "relu(x)"))),
            ["node.2.output"],
            lambda x, a, b: torch.maximum(silu(x), a * logsigmoid(relu(x))),
        ),
        (
            Node("mul(x, y)", (chain("x"), chain("log_sigmoid(x)", "exp(x)"))),
            ["node.2.1.output"],
            lambda x, a, b: x * logsigmoid(a * torch.exp(x)),
        ),
    ],
)
def test_the_named_winners_of_pangaea_are_in_the_space(tree: Node, trained: list, winner) -> None:
    expr = replay(Tree(), decisions_of(tree, *trained)).expr
    assert [p.name for p in parameters(expr)] == ["beta", "beta2"][: len(trained)]
    alpha, beta = (torch.tensor(number, dtype=torch.float64) for number in (0.7, 1.3))
    found = evaluate(expr, {"x": POINTS, "beta": alpha, "beta2": beta})
    torch.testing.assert_close(found, winner(POINTS, alpha, beta))


@given(trees)
def test_a_tree_is_built_as_it_computes(tree: Node) -> None:
    expr = replay(Tree(), decisions_of(tree)).expr
    torch.testing.assert_close(
        evaluate(expr, {"x": POINTS}), value(tree, POINTS), rtol=0, atol=0, equal_nan=True
    )


def test_a_parameter_multiplies_what_comes_along_its_edge() -> None:
    tree = Node("sub(x, y)", (chain("tanh(x)", "exp(x)"), chain("sin(x)")))
    edges = [
        *("node.output", "node.1.output", "node.1.1.output"),
        *("node.1.1.input", "node.2.output", "node.2.input"),
    ]

    def reference(x: Tensor, factors: list[float]) -> Tensor:
        a, b, c, d, e, f = factors
        return a * (b * torch.tanh(c * torch.exp(d * x)) - e * torch.sin(f * x))

    for number, edge in enumerate(edges):
        expr = replay(Tree("swish-2017"), decisions_of(tree, edge)).expr
        factors = [1.0] * len(edges)
        torch.testing.assert_close(evaluate(expr, {"x": POINTS}), reference(POINTS, factors))
        factors[number] = 0.3
        found = evaluate(expr, {"x": POINTS, "beta": torch.tensor(0.3)})
        torch.testing.assert_close(found, reference(POINTS, factors))


def test_the_longest_expression_of_the_space_prints_and_parses_back() -> None:
    tree = chain(*[SWISH] * Tree().max_nodes)
    deepest = "node" + ".1" * (Tree().max_nodes - 1)
    edges = [f"{deepest[:-2]}.output", f"{deepest}.output", f"{deepest}.input"]
    expr = replay(Tree(), decisions_of(tree, *edges)).expr
    assert parse(expr.text) == expr


@given(spaces, seeds)
def test_uniform_answers_build_a_candidate_that_replays(space: Tree, seed: int) -> None:
    proposal = Space.sample(space, np.random.default_rng(seed))
    assert replay(space, proposal.decisions) == proposal
    assert tree_of(proposal).size <= space.max_nodes


# Sampling


def test_samples_are_the_initial_candidates_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    count = 4_000
    samples = [Tree().sample(rng) for _ in range(count)]
    shapes = Counter(shape(tree_of(proposal)) for proposal in samples)
    assert set(shapes) == {((),), ((), ())}
    assert abs(shapes[((),)] / count - 1 / 2) < 0.03
    trained = Counter(proposal.decisions["parameters"] for proposal in samples)
    assert set(trained) == set("0123")
    assert all(abs(trained[k] / count - 1 / 4) < 0.03 for k in trained)
    lone = [
        p.decisions for p in samples if "node.2" in p.decisions and p.decisions["parameters"] == "1"
    ]
    edges = Counter(decisions["parameter1"] for decisions in lone)
    assert len(edges) == 5
    assert all(abs(edges[edge] / len(lone) - 1 / 5) < 0.08 for edge in edges)
    roots = Counter(p.decisions["node"] for p in samples)
    assert set(roots) == {*PANGAEA.unary, *PANGAEA.binary}


# Mutation


@given(spaces, seeds)
def test_mutations_and_crossovers_stay_in_the_space(space: Tree, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, child = space.sample(rng), space.sample(rng)
    for _ in range(6):
        child = space.mutate(child.decisions, rng)
        assert replay(space, child.decisions) == child
        mother = space.crossover(mother.decisions, child.decisions, rng)
        assert replay(space, mother.decisions) == mother
        assert tree_of(mother).size <= space.max_nodes
        assert parse(mother.expr.text) == mother.expr


@given(trees, seeds)
def test_an_inserted_binary_operator_leaves_the_function_as_it_was(tree: Node, seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = Tree(max_nodes=7)
    if tree.size + 2 > space.max_nodes:
        tree = tree.children[0]
    grown = (space.insert(tree, rng) for _ in range(500))
    child = next(new for new in grown if binaries(new) > binaries(tree))
    torch.testing.assert_close(
        value(child, POINTS), value(tree, POINTS), rtol=1e-12, atol=0, equal_nan=True
    )


def test_every_operator_is_inserted_on_every_edge() -> None:
    rng = np.random.default_rng(1)
    neutral = {"add": "0", "sub": "0", "mul": "1", "div": "1", "pow": "1"}

    def pairs(first: Node) -> list[Node]:
        with_neutral = [
            Node(f"{name}(x, y)", (first, Node(second))) for name, second in neutral.items()
        ]
        return [*with_neutral, *(Node(f"{name}(x, y)", (first, first)) for name in ("max", "min"))]

    tree = chain("tanh(x)", "exp(x)")
    spliced = [
        chain(*names)
        for new in PANGAEA.unary
        for names in (
            (new, "tanh(x)", "exp(x)"),
            ("tanh(x)", new, "exp(x)"),
            ("tanh(x)", "exp(x)", new),
        )
    ]
    above = pairs(tree)
    between = [Node("tanh(x)", (pair,)) for pair in pairs(chain("exp(x)"))]
    below = [Node("tanh(x)", (Node("exp(x)", (pair,)),)) for pair in pairs(chain("x"))]
    found = {Tree().insert(tree, rng) for _ in range(2_000)}
    assert found == {*spliced, *above, *between, *below}
    # Four leave no room for a second tanh(exp(x)), nor for x and an operand of its own.
    found = {Tree(max_nodes=4).insert(tree, rng) for _ in range(2_000)}
    assert found == {*spliced, *above[:5], *between}
    found = {Tree(max_nodes=3).insert(tree, rng) for _ in range(2_000)}
    assert found == set(spliced)


def test_insertion_is_uniform_over_operators() -> None:
    rng = np.random.default_rng(2)
    count = 6_800
    tree = chain("tanh(x)", "exp(x)")
    found = Counter(
        next(iter(Counter(operators(Tree().insert(tree, rng))) - Counter(operators(tree))))
        for _ in range(count)
    )
    binary = sum(found[name] for name in PANGAEA.binary)
    assert abs(binary / count - 7 / 34) < 0.03


@pytest.mark.usefixtures("tiny")
def test_sets_without_constants_get_a_random_second_operand() -> None:
    rng = np.random.default_rng(3)
    tree = Node("tanh(x)")
    grown = {Tree("tiny").insert(tree, rng) for _ in range(600)}
    assert {new for new in grown if new.operator == "sub(x, y)"} == {
        Node("sub(x, y)", operands)
        for name in ("x", "tanh(x)")
        for operands in ((tree, Node(name)), (Node(name), tree))
    }


def test_what_removal_leaves() -> None:
    rng = np.random.default_rng(4)
    left, right = chain("tanh(x)", "abs(x)"), chain("exp(x)")
    tree = Node("add(x, y)", (left, right))
    outcomes = Counter(Tree().remove(tree, rng) for _ in range(8_000))
    expected = {
        left: 1 / 8,
        right: 1 / 8,
        Node("add(x, y)", (chain("abs(x)"), right)): 1 / 4,
        Node("add(x, y)", (chain("tanh(x)"), right)): 1 / 4,
        Node("add(x, y)", (left, chain("x"))): 1 / 4,
    }
    assert set(outcomes) == set(expected)
    assert all(abs(outcomes[tree] / 8_000 - share) < 0.03 for tree, share in expected.items())


@given(trees, seeds)
def test_change_gives_one_node_another_operator(tree: Node, seed: int) -> None:
    child = Tree().change(tree, np.random.default_rng(seed))
    assert shape(child) == shape(tree)
    pairs = zip(operators(child), operators(tree), strict=True)
    assert sum(new != old for new, old in pairs) == 1


@given(trees, seeds)
def test_regeneration_keeps_the_shape_alone(tree: Node, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [operators(Tree().regenerate(tree, rng)) for _ in range(40)]
    assert shape(Tree().regenerate(tree, rng)) == shape(tree)
    assert all(len(set(at)) > 1 for at in zip(*drawn, strict=True))


def test_the_four_mutations_are_equally_likely() -> None:
    rng = np.random.default_rng(5)
    count = 4_000
    parent = chain("tanh(x)", "exp(x)", "sin(x)")
    space = Tree("swish-2017")
    children = [tree_of(space.mutate(decisions_of(parent), rng)) for _ in range(count)]
    grown = sum(child.size > 3 for child in children)
    shrunk = sum(child.size < 3 for child in children)
    changed = sum(
        shape(child) == shape(parent)
        and sum(a != b for a, b in zip(operators(child), operators(parent), strict=True)) == 1
        for child in children
    )
    for share in (grown / count, shrunk / count):
        assert abs(share - 1 / 4) < 0.03
    # Regeneration, too, now and then changes exactly one operator: 3 (24/25) / 25^2 of the time.
    assert abs(changed / count - 1 / 4 * (1 + 3 * 24 / 25**3)) < 0.03


def test_parameters_are_drawn_anew_after_a_mutation() -> None:
    rng = np.random.default_rng(6)
    parent = decisions_of(chain("tanh(x)", "exp(x)"), "node.output")
    space = Tree("swish-2017")
    counts = Counter(space.mutate(parent, rng).decisions["parameters"] for _ in range(2_000))
    assert set(counts) == set("0123")
    # A single operator, left by one removal in four, has two edges.
    assert abs(counts["3"] / 2_000 - 3 / 4 * 1 / 4) < 0.04


def test_what_cannot_be_done_to_a_tree_is_replaced() -> None:
    rng = np.random.default_rng(7)
    single = Counter(
        tree_of(Tree().mutate(decisions_of(chain("tanh(x)")), rng)).size > 1 for _ in range(2_000)
    )
    assert abs(single[True] / 2_000 - 3 / 8) < 0.04
    full = chain(*["tanh(x)"] * 7)
    sizes = Counter(tree_of(Tree().mutate(decisions_of(full), rng)).size for _ in range(2_000))
    assert set(sizes) == {6, 7}
    assert abs(sizes[6] / 2_000 - 3 / 8) < 0.04


def test_crossover_puts_a_subtree_of_the_father_into_the_mother() -> None:
    rng = np.random.default_rng(8)
    mother = Node("add(x, y)", (chain("tanh(x)", "abs(x)"), chain("exp(x)")))
    father = Node("max(x, y)", (chain("erf(x)"), chain("relu(x)", "cosh(x)")))
    space = Tree(max_nodes=5)
    found = {
        tree_of(space.crossover(decisions_of(mother), decisions_of(father), rng))
        for _ in range(2_000)
    }
    expected = {
        child
        for given_by_father in subtrees(father)
        for child in with_one_subtree_replaced(mother, given_by_father)
        if child.size <= 5
    }
    assert found == expected


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="max_nodes=2 must be 3 to 7"):
        Tree(max_nodes=2)
    with pytest.raises(ConfigError, match="max_nodes=8"):
        Tree(max_nodes=8)
    with pytest.raises(ConfigError, match="max_parameters=4 must be 0 to 3"):
        Tree(max_parameters=4)
    with pytest.raises(ConfigError, match="unknown operator set 'pangea'"):
        Tree("pangea")
    with pytest.raises(ConfigError, match="beta_scope='layer'"):
        Tree(beta_scope="layer")


CORRECTED = Tree(entropy_correction=True)


def test_corrections_are_off_unless_asked_for_and_then_one_answer_more() -> None:
    plain = Tree()
    assert CORRECTED.size == 3 * plain.size
    for seed in range(20):
        proposal = plain.sample(np.random.default_rng(seed))
        assert "correction" not in proposal.decisions
        again = replay(CORRECTED, {**proposal.decisions, "correction": "none"})
        assert again.expr == proposal.expr


def test_a_corrected_relu_is_crrelu_and_its_mirror() -> None:
    relu_tree = decisions_of(Node("relu(x)"))
    for eps in ("0.01", "-0.01"):
        found = replay(CORRECTED, {**relu_tree, "correction": eps}).expr
        assert str(found) == f"add(relu(x), mul(mul(eps[{eps}], x), exp(mul(-0.5, square(x)))))"


def test_a_tree_without_a_correction_stays_as_it_is() -> None:
    for operator in ("bessel_i0e(x)", "reciprocal(x)", "normal_cdf(x)"):
        if operator in PANGAEA.unary:
            tree = decisions_of(Node(operator))
            plain = replay(Tree(), tree).expr
            assert replay(CORRECTED, {**tree, "correction": "0.01"}).expr == plain


@given(seeds)
def test_a_fifth_mutation_changes_the_correction_alone_and_the_others_keep_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = CORRECTED.sample(rng)
    assert parent.decisions["correction"] == "none"
    for _ in range(4):
        child = CORRECTED.mutate(parent.decisions, rng)
        assert replay(CORRECTED, child.decisions).expr == child.expr
        if child.decisions["correction"] != parent.decisions["correction"]:
            rest = [{**p.decisions, "correction": ""} for p in (parent, child)]
            assert rest[0] == rest[1]
        parent = child


def test_both_signs_come_of_mutation() -> None:
    parent = CORRECTED.sample(np.random.default_rng(0))
    children = [CORRECTED.mutate(parent.decisions, np.random.default_rng(s)) for s in range(200)]
    found = Counter(child.decisions["correction"] for child in children)
    # One mutation of five, either sign in half of them.
    for eps in ("0.01", "-0.01"):
        assert abs(found[eps] - 20) < 4 * (200 * 0.1 * 0.9) ** 0.5
