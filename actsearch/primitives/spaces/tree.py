"""Free trees of unary and binary operators over x, with trainable factors on some of their edges.

The genotype of PANGAEA, Bingham and Miikkulainen 2022, arXiv:2006.03179, section 3. A tree without
children reads x: every leaf is a unary operator of x. An edge leaves every node, and one enters
every leaf; up to three of them are multiplied by a parameter that starts at 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import ClassVar

import numpy as np

from ...errors import ConfigError
from ..entropy.mutation import with_correction
from ..expr import Apply, Expr, Input, Parameter, Scope
from ..operators import OPERATORS
from .operator_sets import check_scope, filled, operator_set, with_short_names
from .space import Choose, Decisions, Proposal, Space, draw, replay

# Each swish repeats its argument, so that seven of them, one in the other and with three
# parameters, are an expression of 830 nodes; the parser reads 1,000.
MAX_NODES = 7
MAX_PARAMETERS = 3

ROOT = "node"
CORRECTIONS = ("none", "0.01", "-0.01")
"""Starts of eps in an entropy correction of the whole tree."""

# A second operand that leaves the first as it is, to 1e-7 for the protected division.
_NEUTRAL = {
    "add(x, y)": "0",
    "sub(x, y)": "0",
    "mul(x, y)": "1",
    "div(x, y)": "1",
    "protected_div(x, y)": "1",
    "pow(x, y)": "1",
}
_SAME_OF_TWO_EQUAL = (
    "max(x, y)",
    "min(x, y)",
    "add(mul(beta[0.5], x), mul(sub(1, beta), y))",
)


@dataclass(frozen=True)
class Node:
    """An operator and the subtrees it reads: none if it reads x, one, or two if it is binary."""

    operator: str
    children: tuple[Node, ...] = ()

    @property
    def size(self) -> int:
        """Number of operators."""
        return 1 + sum(child.size for child in self.children)


@dataclass(frozen=True)
class Tree(Space):
    """The space of trees with up to `max_nodes` operators and `max_parameters` parameters.

    Slots are paths: `node` is the operator at the root, `node.1` and `node.2` those that it reads.

    A sample is the paper's initial candidate, `unary(unary(x))` or `binary(unary(x), unary(x))`;
    larger trees come of mutation. After each change, the parameters are drawn anew: their number
    uniformly, then their edges (from memory).

    Args:
        operators: `pangaea-2022` (27 unary, 7 binary), `swish-2017` or `gecco-2020`.
        max_nodes: most operators, 3 to 7; a bound of our own, the paper has none.
        max_parameters: most trainable factors on edges, 0 to 3 (3 from memory).
        beta_scope: whether a parameter is one number per channel, as in the paper, or per tensor.
        entropy_correction: whether a fifth mutation, of our own, adds or takes away a trained step
            along which the entropy of the output changes fastest (EAFO, arXiv:2405.12954), under
            standard normal inputs and of either sign; a tree without such a step stays as it is.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "tree"
    operators: str = "pangaea-2022"
    max_nodes: int = MAX_NODES
    max_parameters: int = MAX_PARAMETERS
    beta_scope: str = "channel"
    entropy_correction: bool = False

    def __post_init__(self) -> None:
        if not 3 <= self.max_nodes <= MAX_NODES:
            raise ConfigError(f"space max_nodes={self.max_nodes} must be 3 to {MAX_NODES}")
        if not 0 <= self.max_parameters <= MAX_PARAMETERS:
            raise ConfigError(
                f"space max_parameters={self.max_parameters} must be 0 to {MAX_PARAMETERS}"
            )
        operator_set(self.operators)
        check_scope(self.beta_scope)

    @property
    def size(self) -> int:
        """Sum over trees of the ways to choose up to `max_parameters` edges, times corrections."""
        operators = operator_set(self.operators)
        unary, binary = len(operators.unary), len(operators.binary)
        # trees[n, l]: trees of n operators, l of which are leaves.
        trees = {(1, 1): unary}
        for n in range(2, self.max_nodes + 1):
            for leaves in range(1, n):
                trees[n, leaves] = unary * trees.get((n - 1, leaves), 0) + binary * sum(
                    trees.get((first, of_first), 0)
                    * trees.get((n - 1 - first, leaves - of_first), 0)
                    for first in range(1, n - 1)
                    for of_first in range(1, leaves)
                )
        corrections = len(CORRECTIONS) if self.entropy_correction else 1
        return corrections * sum(
            count * sum(comb(n + leaves, k) for k in range(self.max_parameters + 1))
            for (n, leaves), count in trees.items()
        )

    def build(self, choose: Choose) -> Expr:
        """Ask for operators from the root down, left to right, then for edges with a parameter."""
        tree = self._grown(choose, ROOT, self.max_nodes - 1)
        edges = _edges(tree)
        count = int(choose("parameters", self._parameter_counts(edges)))
        trained: list[str] = []
        for number in range(1, count + 1):
            start = edges.index(trained[-1]) + 1 if trained else 0
            stop = len(edges) - (count - number)
            trained.append(choose(f"parameter{number}", edges[start:stop]))
        expr = with_short_names(self._expr(tree, ROOT, trained))
        if self.entropy_correction:
            eps = choose("correction", CORRECTIONS)
            return expr if eps == "none" else with_correction(expr, float(eps))
        return expr

    def sample(self, rng: np.random.Generator) -> Proposal:
        """The paper's initial candidate: one shape of the two, uniform operators, parameters."""
        unary, binary = operator_set(self.operators).unary, operator_set(self.operators).binary
        if rng.integers(2):
            tree = Node(draw(unary, rng), (Node(draw(unary, rng)),))
        else:
            tree = Node(draw(binary, rng), (Node(draw(unary, rng)), Node(draw(unary, rng))))
        return self._with_parameters(tree, rng)

    def mutate(self, parent: Decisions, rng: np.random.Generator) -> Proposal:
        """One of insert, remove, change and regenerate, with equal probability; with
        `entropy_correction` also another correction of the same tree, which the others keep.

        In a tree of one operator nothing can be removed, in a full one nothing inserted; what
        cannot be done is replaced by change or the opposite.
        """
        tree = _tree(parent)
        correct = ("correct",) if self.entropy_correction else ()
        kind = draw(("insert", "remove", "change", "regenerate", *correct), rng)
        if kind == "correct":
            others = [option for option in CORRECTIONS if option != parent["correction"]]
            return replay(self, {**parent, "correction": draw(others, rng)})
        if kind == "remove" and tree.size == 1:
            kind = draw(("insert", "change"), rng)
        elif kind == "insert" and tree.size == self.max_nodes:
            kind = draw(("remove", "change"), rng)
        mutations = {
            "insert": self.insert,
            "remove": self.remove,
            "change": self.change,
            "regenerate": self.regenerate,
        }
        return self._with_parameters(mutations[kind](tree, rng), rng, parent)

    def crossover(self, mother: Decisions, father: Decisions, rng: np.random.Generator) -> Proposal:
        """The mother's tree with one subtree replaced by one of the father's that fits."""
        tree = _tree(mother)
        path = draw(list(_nodes(tree)), rng)
        room = self.max_nodes - tree.size + _nodes(tree)[path].size
        given = {at: node for at, node in _nodes(_tree(father)).items() if node.size <= room}
        child = _replaced(tree, path, given[draw(list(given), rng)])
        return self._with_parameters(child, rng, mother)

    def insert(self, tree: Node, rng: np.random.Generator) -> Node:
        """A new operator on a random edge, uniformly of those that leave at most `max_nodes`.

        A unary operator is spliced in. A binary one reads what came along the edge and a second
        operand that leaves the function as it was: 0, 1 or, for max and min, the same again.
        For operators and sets without any, it is a random unary operator of x on a random side.
        """
        operators = operator_set(self.operators)
        path, _, end = draw(_edges(tree), rng).rpartition(".")
        node = _nodes(tree)[path]
        # On the way into a leaf, x itself comes along the edge.
        incoming = node if end == "output" else None
        grown = {}
        for operator in operators.unary:
            grown[operator] = Node(operator, (incoming,) if incoming else ())
        for operator in operators.binary:
            first = incoming or Node("x")
            grown[operator] = Node(operator, self._operands(operator, first, rng))
        if end == "input":
            grown = {operator: replace(node, children=(new,)) for operator, new in grown.items()}
        room = self.max_nodes - tree.size + node.size
        inserted = draw([operator for operator, new in grown.items() if new.size <= room], rng)
        return _replaced(tree, path, grown[inserted])

    def remove(self, tree: Node, rng: np.random.Generator) -> Node:
        """The tree, of at least two operators, without a random one of them.

        Its child takes its place, of two children a random one. A leaf below a unary operator
        leaves that as the leaf; below a binary operator it becomes the identity, for x itself is
        no operand.
        """
        path = draw(list(_nodes(tree)), rng)
        children = _nodes(tree)[path].children
        if children:
            return _replaced(tree, path, children[rng.integers(len(children))])
        parent_path = path.rpartition(".")[0]
        parent = _nodes(tree)[parent_path]
        if len(parent.children) == 2:
            return _replaced(tree, path, Node("x"))
        return _replaced(tree, parent_path, Node(parent.operator))

    def change(self, tree: Node, rng: np.random.Generator) -> Node:
        """A random node with another operator of its arity."""
        path = draw(list(_nodes(tree)), rng)
        node = _nodes(tree)[path]
        options = self._options(node)
        others = [option for option in options if option != node.operator]
        return _replaced(tree, path, replace(node, operator=draw(others or options, rng)))

    def regenerate(self, tree: Node, rng: np.random.Generator) -> Node:
        """The shape of the tree with every operator drawn anew."""
        operator = draw(self._options(tree), rng)
        return Node(operator, tuple(self.regenerate(child, rng) for child in tree.children))

    def _grown(self, choose: Choose, path: str, spare: int) -> Node:
        """The subtree at a path, of up to `spare` operators below its own."""
        operators = operator_set(self.operators)
        options = operators.unary + (operators.binary if spare >= 2 else ())
        operator = choose(path, options)
        if operator in operators.binary:
            first = self._grown(choose, f"{path}.1", spare - 2)
            second = self._grown(choose, f"{path}.2", spare - 1 - first.size)
            return Node(operator, (first, second))
        if choose(f"{path}.reads", ("x", "node") if spare else ("x",)) == "x":
            return Node(operator)
        return Node(operator, (self._grown(choose, f"{path}.1", spare - 1),))

    def _expr(self, node: Node, path: str, trained: Sequence[str]) -> Expr:
        scope = Scope(self.beta_scope)

        def along(edge: str, value: Expr) -> Expr:
            if edge not in trained:
                return value
            factor = Parameter(f"beta_{edge}".replace(".", "_"), 1.0, scope)
            return Apply(OPERATORS["mul"], (factor, value))

        arguments = [
            self._expr(child, f"{path}.{number}", trained)
            for number, child in enumerate(node.children, start=1)
        ] or [along(f"{path}.input", Input("x"))]
        value = filled(node.operator, path.replace(".", "_"), scope, *arguments)
        return along(f"{path}.output", value)

    def _with_parameters(
        self, tree: Node, rng: np.random.Generator, parent: Decisions | None = None
    ) -> Proposal:
        edges = _edges(tree)
        count = int(draw(self._parameter_counts(edges), rng))
        chosen = sorted(rng.choice(len(edges), count, replace=False))
        answers = {"parameters": str(count)}
        if self.entropy_correction:
            answers["correction"] = parent["correction"] if parent else "none"
        for number, edge in enumerate(chosen, start=1):
            answers[f"parameter{number}"] = edges[edge]
        for path, node in _nodes(tree).items():
            answers[path] = node.operator
            answers[f"{path}.reads"] = "node" if node.children else "x"
        return replay(self, answers)

    def _parameter_counts(self, edges: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(k) for k in range(min(self.max_parameters, len(edges)) + 1))

    def _options(self, node: Node) -> tuple[str, ...]:
        operators = operator_set(self.operators)
        return operators.binary if len(node.children) == 2 else operators.unary

    def _operands(self, operator: str, first: Node, rng: np.random.Generator) -> tuple[Node, Node]:
        if operator in _SAME_OF_TWO_EQUAL:
            return first, first
        unary = operator_set(self.operators).unary
        neutral = _NEUTRAL.get(operator)
        if neutral in unary:
            return first, Node(neutral)
        other = Node(draw(unary, rng))
        return (first, other) if rng.integers(2) else (other, first)


def _tree(decisions: Decisions, path: str = ROOT) -> Node:
    children = (f"{path}.1", f"{path}.2")
    return Node(decisions[path], tuple(_tree(decisions, at) for at in children if at in decisions))


def _nodes(node: Node, path: str = ROOT) -> Mapping[str, Node]:
    """Subtrees by path, from the root down, left to right."""
    found = {path: node}
    for number, child in enumerate(node.children, start=1):
        found.update(_nodes(child, f"{path}.{number}"))
    return found


def _edges(tree: Node) -> list[str]:
    edges = []
    for path, node in _nodes(tree).items():
        edges.append(f"{path}.output")
        if not node.children:
            edges.append(f"{path}.input")
    return edges


def _replaced(node: Node, at: str, new: Node, path: str = ROOT) -> Node:
    if path == at:
        return new
    children = enumerate(node.children, start=1)
    return Node(
        node.operator,
        tuple(_replaced(child, at, new, f"{path}.{number}") for number, child in children),
    )
