"""Graphs of a layer that normalises and activates in one, from elementwise operators and moments.

EvoNorm, Liu et al. 2020, arXiv:2004.02967. Four initial nodes, x, zero and two trainable vectors,
then nodes that each apply an operator to any nodes before them. The last one is the output, scaled
and shifted for each channel; what it does not read is no part of the layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ...errors import ConfigError
from ..expr import Apply, Constant, Expr, Input, Parameter, Scope, node_count, postorder
from ..moments import EPSILON, MOMENTS, Kind, Over
from ..operators import OPERATORS
from .evonorm_members import Node, nodes_of
from .operator_sets import OperatorSet, filled
from .space import Choose, Decisions, Proposal, Space, draw, propose, replay

MAX_NODES = 10
"""The paper's; more would print deeper than the parser reads."""
MAX_PRINTED = 500
"""Most operators and leaves of a printed layer; the parser reads twice as many, and 10,000
characters, which are 20 for each."""

INITIAL: Mapping[str, Expr] = {
    "x": Input("x"),
    "zero": Constant(0.0),
    "v0": Parameter("v0", 0.0, Scope.CHANNEL),
    "v1": Parameter("v1", 1.0, Scope.CHANNEL),
}

# The paper's logarithm and root keep the sign, and it adds an unnamed epsilon where one is needed;
# here that of its released layers. A divisor gets it in `_applied`.
_PAPER = OperatorSet(
    unary=(
        "neg(x)",
        "sigmoid(x)",
        "tanh(x)",
        "exp(x)",
        f"mul(sign(x), log(add(abs(x), {EPSILON})))",
        "abs(x)",
        "square(x)",
        f"mul(sign(x), sqrt(add(abs(x), {EPSILON})))",
    ),
    binary=("add(x, y)", "mul(x, y)", "div(x, y)", "max(x, y)"),
)
ELEMENTWISE: Mapping[str, OperatorSet] = {
    "evonorm-2020": _PAPER,
    # With the gate of GELU, so that LayerNorm with GELU is a member.
    "extended": OperatorSet((*_PAPER.unary, "normal_cdf(x)"), _PAPER.binary),
}
SERIES: Mapping[str, tuple[Over, ...]] = {
    "B": (Over.BATCH, Over.LAYER, Over.INSTANCE, Over.GROUP),
    "S": (Over.LAYER, Over.INSTANCE, Over.GROUP),
}
"""Sets of the moments of each series; S layers leave the examples of a batch apart."""


@dataclass(frozen=True)
class EvoNorm(Space):
    """The space of layers of the paper.

    `node4` is the first node after the initial ones. A sample is the paper's random graph: operator
    and predecessors of every node are drawn uniformly.

    A node that would print a layer of more than `MAX_PRINTED` operators and leaves is its first
    predecessor instead, for a node is printed wherever it is read: ten that each double the last
    would be 2,047. None of 20,000 random graphs has more than 82.

    Args:
        nodes: how many after the initial ones, 1 to 10; the paper has 10.
        series: S, or B with moments over the batch.
        token_sets: also moments over the channels of one token, all or a group, as transformers
            have; not in the paper.
        operators: elementwise ones, as of `ELEMENTWISE`.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "evonorm"
    replaces_norm: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("bn_relu", "evonorm_s0")
    nodes: int = MAX_NODES
    series: str = "S"
    token_sets: bool = False
    operators: str = "evonorm-2020"

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise ConfigError(f"space nodes={self.nodes} must be 1 to {MAX_NODES}")
        for setting, value, known in (
            ("series", self.series, SERIES),
            ("operators", self.operators, ELEMENTWISE),
        ):
            if value not in known:
                raise ConfigError(f"space {setting}='{value}' must be {' or '.join(known)}")

    @property
    def size(self) -> int:
        """Product over nodes of U n + B n^2, for U operators of one argument, moments among them, B
        of two, and n nodes before."""
        unary, binary = len(self._unary), len(self._binary)
        before = range(len(INITIAL), len(INITIAL) + self.nodes)
        return prod(unary * n + binary * n**2 for n in before)

    def build(self, choose: Choose) -> Expr:
        """Ask for operator and predecessors of each node, in order."""
        options = (*self._unary, *self._binary)
        built = dict(INITIAL)
        for node in self._names:
            operator = choose(f"{node}.operator", options)
            places = ("first", "second") if operator in self._binary else ("first",)
            read = [built[choose(f"{node}.{place}", list(built))] for place in places]
            made = _applied(operator, *read)
            built[node] = made if node_count(_affine(made)) <= MAX_PRINTED else read[0]
        return _affine(built[self._names[-1]])

    def mutate(self, parent: Decisions, rng: np.random.Generator) -> Proposal:
        """The paper's: one node, uniformly, gets an operator and predecessors drawn uniformly.

        Drawn again if they are the old ones. The node may be one that the output does not read.
        """
        changed = draw(self._names, rng)

        def answer(slot: str, options: Sequence[str]) -> str:
            return draw(options, rng) if slot.startswith(f"{changed}.") else parent[slot]

        child = propose(self, answer)
        while dict(child.decisions) == dict(parent):
            child = propose(self, answer)
        return child

    def decisions_of(self, expr: Expr) -> Decisions | None:
        """The graph of a known layer, after nodes that it does not read."""
        nodes = nodes_of(expr, INITIAL, (*self._unary, *self._binary))
        if nodes is None or len(nodes) > self.nodes:
            return None
        first = len(INITIAL) + self.nodes - len(nodes)
        whole: list[Node] = [("neg(x)", ("x",))] * (self.nodes - len(nodes)) + nodes
        decisions = {}
        for name, (operator, reads) in zip(self._names, whole, strict=True):
            decisions[f"{name}.operator"] = operator
            for place, read in zip(("first", "second"), reads, strict=False):
                node = f"node{first + read}" if isinstance(read, int) else read
                decisions[f"{name}.{place}"] = node
        # A divisor that may be 0 gets an epsilon here, so that another layer came out.
        words = [str(node) for node in postorder(replay(self, decisions).expr)]
        return None if f"{EPSILON}" in words else decisions

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(f"node{len(INITIAL) + number}" for number in range(self.nodes))

    @property
    def _unary(self) -> tuple[str, ...]:
        tokens = (Over.TOKEN, Over.TOKEN_GROUP) if self.token_sets else ()
        moments = (f"{kind}_{over}(x)" for over in (*SERIES[self.series], *tokens) for kind in Kind)
        return (*ELEMENTWISE[self.operators].unary, *moments)

    @property
    def _binary(self) -> tuple[str, ...]:
        return ELEMENTWISE[self.operators].binary


def _applied(operator: str, *read: Expr) -> Expr:
    if operator == "div(x, y)" and not _away_from_zero(read[1]):
        read = (read[0], Apply(OPERATORS["add"], (read[1], Constant(EPSILON))))
    return filled(operator, "", Scope.CHANNEL, *read)


def _away_from_zero(expr: Expr) -> bool:
    """Whether the epsilon of a moment keeps it above 0: deviations, and maxima with one."""
    if not isinstance(expr, Apply):
        return False
    if expr.operator.name == "max":
        return any(map(_away_from_zero, expr.arguments))
    moment = MOMENTS.get(expr.operator.name)
    return moment is not None and moment.kind is not Kind.MEAN


def _affine(expr: Expr) -> Expr:
    gamma = Parameter("gamma", 1.0, Scope.CHANNEL)
    beta = Parameter("beta", 0.0, Scope.CHANNEL)
    return Apply(OPERATORS["add"], (Apply(OPERATORS["mul"], (gamma, expr)), beta))
