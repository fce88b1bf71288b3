"""Expressions: immutable trees of operators, inputs, constants and trainable parameters."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from torch import nn

from .operator import Operator

# Attributes of a module besides those of its class, which a parameter must not hide either.
_MODULE_ATTRIBUTES = frozenset(("training", "channels", "dim", "expr", "groups"))
_LONGEST_NAME = 40


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
    """A fixed finite number; -0 is 0, so that equal expressions have equal text."""

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _finite(self.value, "a constant"))


@dataclass(frozen=True)
class Parameter(Expr):
    """A number that is trained with the network, starting from `initial`.

    Raises:
        ValueError: the name is no identifier, or cannot be an attribute of a module; `initial`
            is not finite.
    """

    name: str
    initial: float
    scope: Scope = Scope.TENSOR

    def __post_init__(self) -> None:
        problem = _name_problem(self.name)
        if problem:
            shown = self.name[:_LONGEST_NAME]
            raise ValueError(f"'{shown}' cannot name a trainable parameter: it {problem}")
        object.__setattr__(self, "initial", _finite(self.initial, f"'{self.name}'"))


@dataclass(frozen=True)
class Apply(Expr):
    """An operator applied to as many expressions as its arity."""

    operator: Operator
    arguments: tuple[Expr, ...]
    _hash: int = field(init=False, repr=False, compare=False)
    _depth: int = field(init=False, repr=False, compare=False)
    _node_count: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.arguments) != self.operator.arity:
            raise ValueError(
                f"operator '{self.operator.name}' takes {self.operator.arity} argument"
                f"{'s' if self.operator.arity > 1 else ''}, got {len(self.arguments)}"
            )
        deepest, nodes = 0, 1
        for argument in self.arguments:
            deepest = max(deepest, depth(argument))
            nodes += node_count(argument)
        object.__setattr__(self, "_hash", hash((self.operator.name, self.arguments)))
        object.__setattr__(self, "_depth", 1 + deepest)
        object.__setattr__(self, "_node_count", nodes)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # Hashes of text differ between processes, so the stored one must not travel.
        return Apply, (self.operator, self.arguments)


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number, got {value}")
    return float(value) + 0.0


def _name_problem(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        return "is not a word of letters, digits and underscores"
    if len(name) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters"
    if keyword.iskeyword(name):
        return "is a word of the Python language"
    if name.startswith("_"):
        return "starts with an underscore"
    if hasattr(nn.Module, name) or name in _MODULE_ATTRIBUTES:
        return "is an attribute of every torch module"
    return ""


def postorder(expr: Expr, known: Container[Expr] = ()) -> Iterator[Expr]:
    """Every distinct subexpression once, arguments before what uses them.

    Args:
        known: expressions to leave out, with all that is below them.
    """
    if expr in known:
        return
    if not isinstance(expr, Apply):
        yield expr
        return
    seen: set[Expr] = {expr}
    stack: list[tuple[Apply, Iterator[Expr]]] = [(expr, iter(expr.arguments))]
    while stack:
        node, arguments = stack[-1]
        for argument in arguments:
            if argument in seen or argument in known:
                continue
            seen.add(argument)
            if isinstance(argument, Apply):
                stack.append((argument, iter(argument.arguments)))
                break
            yield argument
        else:
            stack.pop()
            yield node


@lru_cache(maxsize=4096)
def inputs(expr: Expr) -> tuple[str, ...]:
    """Names of the inputs that the expression reads, in alphabetical order."""
    return tuple(sorted({node.name for node in postorder(expr) if isinstance(node, Input)}))


@lru_cache(maxsize=4096)
def parameters(expr: Expr) -> tuple[Parameter, ...]:
    """Trainable parameters, in order of first appearance."""
    return tuple(node for node in postorder(expr) if isinstance(node, Parameter))


def node_count(expr: Expr) -> int:
    """Number of nodes of the tree, each repeated subexpression counted every time."""
    return expr._node_count if isinstance(expr, Apply) else 1


def depth(expr: Expr) -> int:
    """Number of nodes on the longest path from the root to a leaf."""
    return expr._depth if isinstance(expr, Apply) else 1


def substitute(expr: Expr, replacements: Mapping[Any, Expr]) -> Expr:
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
