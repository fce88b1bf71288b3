"""From a formula to the graph that builds it, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..expr import Apply, Constant, Expr, Input, Parameter, parameters, postorder, substitute
from ..moments import without_affine

Node = tuple[str, tuple[str | int, ...]]
"""An operator, and what it reads: initial nodes by name, others by their place in the list."""


def nodes_of(expr: Expr, initial: Mapping[str, Expr], options: Sequence[str]) -> list[Node] | None:
    """The graph of a layer, its output last; None if it is no member.

    A last scale and shift of each channel are left out, for every member has them. Parameters that
    start at 1 and at 0, such as the gamma and beta inside BN-ReLU, are the trainable vectors of
    that start.

    Args:
        initial: the initial nodes by name.
        options: operators over x, or over x and y.
    """
    body = _with_vectors(without_affine(expr), initial)
    if body is None:
        return None
    names = {made: name for name, made in initial.items()}
    built: dict[Expr, str | int] = dict(names)
    nodes: list[Node] = []

    def add(operator: str, *reads: str | int) -> int:
        nodes.append((operator, reads))
        return len(nodes) - 1

    for node in postorder(body):
        if node in built:
            continue
        match node:
            case Constant(1.0):
                built[node] = add("exp(x)", "zero")
            case Apply(operator, (left, right)) if operator.name == "sub":
                built[node] = add("add(x, y)", built[left], add("neg(x)", built[right]))
            case Apply(operator, (argument,)) if operator.name == "relu":
                built[node] = add("max(x, y)", built[argument], "zero")
            case Apply(operator, arguments):
                word = "x" if len(arguments) == 1 else "x, y"
                built[node] = add(f"{operator.name}({word})", *(built[a] for a in arguments))
            case _:
                return None
    known = all(operator in options for operator, _ in nodes)
    return nodes if known and nodes and built[body] == len(nodes) - 1 else None


def _with_vectors(expr: Expr, initial: Mapping[str, Expr]) -> Expr | None:
    """The formula with its parameters replaced by the initial nodes of the same start."""
    vectors = {node.initial: node for node in initial.values() if isinstance(node, Parameter)}
    found = parameters(expr)
    starts = [(parameter.initial, parameter.scope) for parameter in found]
    if len(set(starts)) < len(starts):
        return None
    replaced: dict[Expr, Expr] = {}
    for parameter in found:
        vector = vectors.get(parameter.initial)
        if vector is None or vector.scope is not parameter.scope:
            return None
        replaced[parameter] = vector
    # A formula that mentions another input is no layer.
    if any(isinstance(node, Input) and node.name != "x" for node in postorder(expr)):
        return None
    return substitute(expr, replaced)
