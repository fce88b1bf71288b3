"""Expressions on tensors, one torch call per operator.

Half-precision tensors are computed in float32 and rounded once at the end. Only the inputs are
saved for the backward pass, which evaluates the derivative expression; being made of torch calls
itself, it can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..expr import Constant, Expr, Input, Parameter, Scope, inputs, parameters
from .program import Program, backward_program, forward_program, variables

_HALF = (torch.float16, torch.bfloat16)


def evaluate(expr: Expr, bindings: Mapping[str, Tensor]) -> Tensor:
    """Value of the expression.

    Args:
        bindings: a floating tensor for each input and trainable parameter, by name; they
            broadcast, and have one dtype and device. A parameter without one has its initial
            value.

    Returns:
        A tensor of the broadcast shape. Differentiable by torch with the engine's own slopes.

    Raises:
        ValueError: an input has no tensor.
    """
    names = variables(expr)
    tensors = _bound(expr, bindings)
    if not names:
        raise ValueError(f"'{expr}' reads no input, so it has no shape to evaluate at")
    return _Evaluation.apply(expr, *tensors)


def value_and_slopes(expr: Expr, bindings: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Value, and the slope by each of the inputs in alphabetical order; nothing is recorded.

    Args and errors as of `evaluate`. All have the shape that the bindings broadcast to.
    """
    names, tensors = variables(expr), _bound(expr, bindings)
    reference = _widest(tensors or tuple(bindings.values()))
    shape = torch.broadcast_shapes(*(t.shape for t in (*tensors, *bindings.values())))
    with torch.no_grad():
        (value,) = _run(forward_program(expr), dict(zip(names, tensors, strict=True)), reference)
        slopes = _run(backward_program(expr), dict(zip(names, tensors, strict=True)), reference)
    count = sum(isinstance(n, Input) for n in names)
    return value.expand(shape), [slope.expand(shape) for slope in slopes[:count]]


def _bound(expr: Expr, bindings: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    some = next(iter(bindings.values()), None)
    tensors = []
    for leaf in variables(expr):
        if leaf.name in bindings:
            tensors.append(bindings[leaf.name])
        elif isinstance(leaf, Parameter) and some is not None:
            tensors.append(some.new_tensor(leaf.initial))
        else:
            raise ValueError(f"'{expr}' reads the input {leaf.name}, which was given no tensor")
    return tuple(tensors)


def _widest(tensors: Sequence[Tensor]) -> Tensor:
    return max(tensors, key=lambda t: t.ndim)


def _run(
    program: Program, bindings: Mapping[Input | Parameter, Tensor], reference: Tensor
) -> list[Tensor]:
    """Outputs in the dtype of `reference`, each of its own (broadcastable) shape."""
    dtype = torch.float32 if reference.dtype in _HALF else reference.dtype
    slots: list[Tensor] = []
    for leaf in program.leaves:
        if isinstance(leaf, Constant):
            slots.append(torch.full((), leaf.value, dtype=dtype, device=reference.device))
        else:
            slots.append(bindings[leaf].to(dtype))  # type: ignore[index]
    for instruction in program.instructions:
        slots.append(instruction.operator.value(*[slots[a] for a in instruction.arguments]))
    return [slots[output].to(reference.dtype) for output in program.outputs]


class _Evaluation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, expr: Expr, *tensors: Tensor) -> Tensor:
        ctx.expr = expr
        ctx.save_for_backward(*tensors)
        bindings = dict(zip(variables(expr), tensors, strict=True))
        (value,) = _run(forward_program(expr), bindings, _widest(tensors))
        # An expression that is just its input must still return a new tensor.
        return value.clone() if any(value is t for t in tensors) else value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        tensors = ctx.saved_tensors
        bindings = dict(zip(variables(ctx.expr), tensors, strict=True))
        slopes = _run(backward_program(ctx.expr), bindings, _widest(tensors))
        return (
            None,
            *(
                (grad * slope).sum_to_size(tensor.shape) if needed else None
                for tensor, slope, needed in zip(
                    tensors, slopes, ctx.needs_input_grad[1:], strict=True
                )
            ),
        )


class Activation(nn.Module):
    """An expression as a module; its trainable parameters are registered once, by name.

    Args:
        expr: the function; of `x`, or of `u` and `v` for a gated unit.
        channels: length of the channel axis; needed if a parameter is per channel.
        dim: the channel axis.

    `forward` takes the inputs in alphabetical order, floating tensors of one shape, and returns
    a tensor of that shape and dtype.

    Raises:
        ValueError: a parameter is per channel and `channels` was not given.
    """

    def __init__(self, expr: Expr, channels: int | None = None, dim: int = 1) -> None:
        super().__init__()
        self.expr = expr
        self.dim = dim
        self._inputs = inputs(expr) or ("x",)
        self._scopes = {p.name: p.scope for p in parameters(expr)}
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
        first = tensors[0]
        bindings = dict(zip(self._inputs, tensors, strict=True))
        for name, scope in self._scopes.items():
            value = getattr(self, name)
            if scope is Scope.CHANNEL:
                after = first.ndim - 1 - self.dim % first.ndim
                value = value.reshape(-1, *([1] * after))
            bindings[name] = value.to(first.dtype)
        if not inputs(self.expr):
            constant = evaluate(self.expr, bindings) if self._scopes else _constant(self.expr)
            return constant.to(first.dtype).expand_as(first)
        return evaluate(self.expr, bindings)

    def extra_repr(self) -> str:
        return str(self.expr)


def _constant(expr: Expr) -> Tensor:
    (value,) = _run(forward_program(expr), {}, torch.zeros(()))
    return value
