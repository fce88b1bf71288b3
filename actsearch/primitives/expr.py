"""Expressions: immutable trees of operators, inputs, constants and trainable parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from .operator import Operator


class Scope(StrEnum):
    """How many values a trainable parameter has."""

    TENSOR = "tensor"
    """one for the whole layer"""
    CHANNEL = "channel"
    """one for each channel"""


class Expr:
    """A candidate function; one of `Input`, `Constant`, `Parameter` and `Apply`."""

    @cached_property
    def text(self) -> str:
        """The canonical text, in call form; `parse` reads it back to an equal expression."""
        from .format import call_form

        return call_form(self)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Input(Expr):
    """An argument of the function: `x`, or `u` and `v` for a gated unit."""

    name: str


@dataclass(frozen=True)
class Constant(Expr):
    """A fixed finite number."""

    value: float


@dataclass(frozen=True)
class Parameter(Expr):
    """A number that is trained with the network, starting from `initial`."""

    name: str
    initial: float
    scope: Scope = Scope.TENSOR


@dataclass(frozen=True)
class Apply(Expr):
    """An operator applied to as many expressions as its arity."""

    operator: Operator
    arguments: tuple[Expr, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.arguments) != self.operator.arity:
            raise ValueError(
                f"operator '{self.operator.name}' takes {self.operator.arity} argument"
                f"{'s' if self.operator.arity > 1 else ''}, got {len(self.arguments)}"
            )
        object.__setattr__(self, "_hash", hash((self.operator.name, self.arguments)))

    def __hash__(self) -> int:
        return self._hash


def postorder(expr: Expr) -> Iterator[Expr]:
    """Every distinct subexpression once, arguments before what uses them."""
    seen: set[Expr] = set()
    stack = [(expr, False)]
    while stack:
        node, expanded = stack.pop()
        if node in seen:
            continue
        if expanded or not isinstance(node, Apply):
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((argument, False) for argument in reversed(node.arguments))


def inputs(expr: Expr) -> tuple[str, ...]:
    """Names of the inputs that the expression reads, in alphabetical order."""
    return tuple(sorted({node.name for node in postorder(expr) if isinstance(node, Input)}))


def parameters(expr: Expr) -> tuple[Parameter, ...]:
    """Trainable parameters, in order of first appearance."""
    return tuple(node for node in postorder(expr) if isinstance(node, Parameter))


def node_count(expr: Expr) -> int:
    """Number of nodes of the tree, each repeated subexpression counted every time."""
    return _measure(expr)[0]


def depth(expr: Expr) -> int:
    """Number of nodes on the longest path from the root to a leaf."""
    return _measure(expr)[1]


def _measure(expr: Expr) -> tuple[int, int]:
    sizes: dict[Expr, tuple[int, int]] = {}
    for node in postorder(expr):
        below = [sizes[a] for a in node.arguments] if isinstance(node, Apply) else []
        sizes[node] = (1 + sum(n for n, _ in below), 1 + max((d for _, d in below), default=0))
    return sizes[expr]


def substitute(expr: Expr, replacements: dict[Expr, Expr]) -> Expr:
    """The expression with each leaf or subexpression that is a key replaced by its value."""
    built: dict[Expr, Expr] = {}
    for node in postorder(expr):
        if node in replacements:
            built[node] = replacements[node]
        elif isinstance(node, Apply):
            built[node] = Apply(node.operator, tuple(built[a] for a in node.arguments))
        else:
            built[node] = node
    return built[expr]
