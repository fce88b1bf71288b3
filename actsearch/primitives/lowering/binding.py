"""Programs as tensors: the text of an expression, and which tensor it reads as what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import torch
from torch import Tensor

from ..differentiate import gradients
from ..expr import Apply, Expr, Input, Parameter, inputs, parameters
from ..operators import OPERATORS
from ..parse import parse
from . import backends, eager
from .program import GRAD, variables

_UNUSED = "-"
_WIDTH = 512


def encode(
    expr: Expr, input_names: Sequence[str] = (), parameter_names: Sequence[str | None] = ()
) -> Tensor:
    """The program of an expression: its text, and which tensor of the operation is what.

    Args:
        input_names: the inputs in the order in which their tensors come; by default those that
            the expression reads, in alphabetical order.
        parameter_names: the same for the trainable parameters, with None for a tensor that is
            not read; by default in order of appearance.

    Returns:
        uint8 on the CPU, of a length that is a multiple of 512: a compiled network knows the
        shapes of its inputs, so that texts of many lengths should have one.
    """
    names = tuple(input_names) or inputs(expr) or ("x",)
    trained = tuple(parameter_names) or tuple(p.name for p in parameters(expr))
    lines = (" ".join(names), " ".join(name or _UNUSED for name in trained), expr.text)
    text = "\n".join(lines).encode()
    padded = text.ljust(-(-len(text) // _WIDTH) * _WIDTH, b"\0")
    return torch.frombuffer(bytearray(padded), dtype=torch.uint8)


@dataclass(frozen=True)
class Binding:
    """A decoded program.

    Args:
        expr: the expression.
        leaves: what each tensor of the operation is, inputs first; None where it is not read.
        order: positions of the tensors that a backend takes, in its order.
        inputs: how many of those are inputs.
    """

    expr: Expr
    leaves: tuple[Input | Parameter | None, ...]
    order: tuple[int, ...]
    inputs: int

    def forward(self, tensors: Sequence[Tensor], dim: int) -> Tensor:
        return backends.forward(self.expr, *self._read(tensors), dim)

    def backward(
        self, grad: Tensor, tensors: Sequence[Tensor], dim: int, module: Any = backends
    ) -> list[Tensor]:
        found = module.backward(self.expr, grad, *self._read(tensors), dim)
        by_place = dict(zip(self.order, found, strict=True))
        return [
            by_place[place] if place in by_place else torch.zeros_like(tensor)
            for place, tensor in enumerate(tensors)
        ]

    def second_backward(
        self, seconds: Sequence[Tensor], grad: Tensor, tensors: Sequence[Tensor], dim: int
    ) -> list[Tensor]:
        """Gradients of `backward` by grad and the tensors; `seconds` are those by its results."""
        given: dict[Expr, Tensor] = {GRAD: grad}
        for leaf, tensor, second in zip(self.leaves, tensors, seconds, strict=True):
            if leaf is not None:
                given[leaf], given[_second(leaf)] = tensor, second
        found: dict[Expr | None, Tensor] = {}
        if variables(self.expr):
            expr = _weighted_gradients(self.expr)
            read = variables(expr)
            by_inputs = [given[leaf] for leaf in read if isinstance(leaf, Input)]
            by_trained = [given[leaf] for leaf in read if isinstance(leaf, Parameter)]
            ones = torch.ones_like(grad)
            found = dict(
                zip(read, eager.backward(expr, ones, by_inputs, by_trained, dim), strict=True)
            )
        return [
            found[leaf].to(tensor.dtype) if leaf in found else torch.zeros_like(tensor)
            for leaf, tensor in zip((GRAD, *self.leaves), (grad, *tensors), strict=True)
        ]

    def _read(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        read = [tensors[place] for place in self.order]
        return read[: self.inputs], read[self.inputs :]


def _second(leaf: Input | Parameter) -> Input | Parameter:
    name = f"second_{leaf.name}"
    return Input(name) if isinstance(leaf, Input) else Parameter(name, 0.0, leaf.scope)


@lru_cache(maxsize=1024)
def _weighted_gradients(expr: Expr) -> Expr:
    """The sum over variables v of second_v * grad * slope by v; its slopes are the second ones."""
    slopes = gradients(expr)
    multiply, add = OPERATORS["mul"], OPERATORS["add"]
    terms: list[Expr] = [
        Apply(multiply, (_second(leaf), Apply(multiply, (GRAD, slopes[leaf]))))
        for leaf in variables(expr)
    ]
    return reduce(lambda left, right: Apply(add, (left, right)), terms)


@lru_cache(maxsize=4096)
def _decoded(text: bytes) -> Binding:
    names_line, trained_line, formula = text.rstrip(b"\0").decode().split("\n")
    names, trained = names_line.split(), trained_line.split()
    expr = parse(formula, input_names=tuple(names))
    read = {leaf.name: leaf for leaf in variables(expr)}
    # An expression that reads no input still takes shape and dtype from one.
    order = [names.index(name) for name in inputs(expr) or names[:1]]
    return Binding(
        expr,
        tuple(read.get(name) for name in (*names, *trained)),
        (*order, *(len(names) + trained.index(p.name) for p in parameters(expr))),
        len(order),
    )


def decode(program: Tensor) -> Binding:
    """What `encode` encoded."""
    return _decoded(program.numpy().tobytes())
