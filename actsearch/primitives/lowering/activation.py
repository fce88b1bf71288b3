"""Expressions as modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..expr import Expr, Scope, inputs, parameters
from ..layer_words import layer_words
from .application import apply
from .binding import encode


class Activation(nn.Module):
    """An expression as a module; its trainable parameters are registered once, by name.

    Args:
        expr: the function; of `x`, or of `u` and `v` for a gated unit.
        channels: length of the channel axis; needed if a parameter is per channel.
        dim: the channel axis.

    `forward` takes the inputs in alphabetical order, floating tensors of one shape, and returns
    a tensor of that shape; the dtype is the widest of theirs. Half precision is computed in
    float32 and rounded once.

    Raises:
        ValueError: a parameter is per channel and `channels` was not given, or the expression has
            words of a layer, such as moments.
    """

    def __init__(self, expr: Expr, channels: int | None = None, dim: int = 1) -> None:
        super().__init__()
        if layer_words(expr):
            raise ValueError(f"'{expr}' reads a whole tensor; make it with module_of")
        self.expr = expr
        self.dim = dim
        self._inputs = inputs(expr) or ("x",)
        self._names = tuple(p.name for p in parameters(expr))
        self._program = encode(expr)
        for parameter in parameters(expr):
            per_channel = parameter.scope is Scope.CHANNEL
            if per_channel and channels is None:
                raise ValueError(
                    f"'{expr}' has the per-channel parameter {parameter.name}; give channels=, "
                    "the width of the layer"
                )
            shape = (channels,) if per_channel and channels is not None else ()
            self.register_parameter(
                parameter.name, nn.Parameter(torch.full(shape, parameter.initial))
            )

    def forward(self, *tensors: Tensor) -> Tensor:
        if len(tensors) != len(self._inputs):
            raise ValueError(
                f"'{self.expr}' takes {len(self._inputs)} tensors ({', '.join(self._inputs)}), "
                f"got {len(tensors)}"
            )
        trained = [getattr(self, name) for name in self._names]
        return apply(self._program, _of_one_kind(tensors), trained, from_end(self.dim, tensors[0]))

    def extra_repr(self) -> str:
        return str(self.expr)


class ActivationSlot(nn.Module):
    """A place in a network for any expression of one input; exchanging it recompiles nothing.

    Parameters are kept in two blocks of fixed size, so that every candidate has the same ones.
    Unused values have no gradient but zero. Slots of equal size stack with
    `torch.func.stack_module_state`, each with its own expression.

    Args:
        expr: held at first.
        channels: length of the channel axis.
        dim: the channel axis.
        tensor_parameters, channel_parameters: room for so many of each scope.

    Raises:
        ValueError: as of `hold`.
    """

    program: Tensor

    def __init__(
        self,
        expr: Expr,
        channels: int,
        dim: int = 1,
        *,
        tensor_parameters: int = 2,
        channel_parameters: int = 6,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.per_tensor = nn.Parameter(torch.zeros(tensor_parameters))
        self.per_channel = nn.Parameter(torch.zeros(channel_parameters, channels))
        self.register_buffer("program", torch.zeros(0, dtype=torch.uint8))
        self.hold(expr)

    def hold(self, expr: Expr) -> None:
        """Take another expression, with its parameters at their start.

        Raises:
            ValueError: it reads other inputs than x, or has more parameters than there is room.
        """
        if inputs(expr) not in ((), ("x",)):
            raise ValueError(f"'{expr}' reads {', '.join(inputs(expr))}; a slot has one input, x")
        names: list[str | None] = []
        with torch.no_grad():
            for scope, block in (
                (Scope.TENSOR, self.per_tensor),
                (Scope.CHANNEL, self.per_channel),
            ):
                held = [p for p in parameters(expr) if p.scope is scope]
                if len(held) > len(block):
                    raise ValueError(
                        f"'{expr}' has {len(held)} parameters per {scope}, and the slot has room "
                        f"for {len(block)}; make it with {scope}_parameters={len(held)}"
                    )
                block.zero_()
                for row, parameter in enumerate(held):
                    block[row] = parameter.initial
                names += [*(p.name for p in held), *[None] * (len(block) - len(held))]
        self.program = encode(expr, ("x",), names)

    def forward(self, x: Tensor) -> Tensor:
        trained = [*self.per_tensor.unbind(), *self.per_channel.unbind()]
        return apply(self.program, [x], trained, from_end(self.dim, x))

    def _apply(self, fn: Any, recurse: bool = True) -> ActivationSlot:
        # Which expression to run is decided on the CPU, wherever it runs.
        program = self.program
        super()._apply(fn, recurse)
        self.program = program
        return self


def from_end(dim: int, tensor: Tensor) -> int:
    """The axis counted from the end, where axes that vmap puts in front do not shift it."""
    return dim % tensor.ndim - tensor.ndim if tensor.ndim else -1


def _of_one_kind(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    first = tensors[0]
    if len(tensors) == 1:
        return [first]
    if any(tensor.shape != first.shape for tensor in tensors):
        shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(f"the inputs of a gated unit must have one shape, got {shapes}")
    dtype = first.dtype
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return [tensor.to(dtype) for tensor in tensors]
