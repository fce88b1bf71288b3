"""Graphs of the space evonorm, node by node."""

from __future__ import annotations

from collections.abc import Sequence

from actsearch.primitives import Expr
from actsearch.primitives.spaces import EvoNorm, replay

ADD, MUL, DIV, MAX = "add(x, y)", "mul(x, y)", "div(x, y)", "max(x, y)"
NEG, SIGMOID, EXP = "neg(x)", "sigmoid(x)", "exp(x)"
SQRT = "mul(sign(x), sqrt(add(abs(x), 1e-05)))"
LOG = "mul(sign(x), log(add(abs(x), 1e-05)))"

Node = tuple[str, ...]
"""An operator and its predecessors; the first node of a graph is node4."""


def decisions(nodes: Sequence[Node], count: int = 10) -> dict[str, str]:
    """The nodes, dead ones, and the last of the nodes as the last of all."""
    dead = [(NEG, "x")] * (count - len(nodes))
    return {
        f"node{number}.{part}": option
        for number, node in enumerate([*nodes[:-1], *dead, nodes[-1]], start=4)
        for part, option in zip(("operator", "first", "second"), node, strict=False)
    }


def built(space: EvoNorm, *nodes: Node) -> Expr:
    return replay(space, decisions(nodes, space.nodes)).expr
