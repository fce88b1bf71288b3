"""Expressions on tensors, one torch call per operator.

Half-precision tensors are computed in float32 and rounded once at the end. The backward pass
evaluates the derivative expression from where the forward pass ended. To be differentiated again
it starts from the inputs, and is recorded like any other torch code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..expr import Constant, Expr, Input, Parameter
from .program import (
    Instruction,
    Program,
    backward_program,
    forward_program,
    slopes_program,
    training_program,
    variables,
)

_HALF = (torch.float16, torch.bfloat16)


def evaluate(expr: Expr, bindings: Mapping[str, Tensor]) -> Tensor:
    """Value of the expression.

    Args:
        bindings: a floating tensor for each input and trainable parameter, by name; they
            broadcast on one device. A parameter without one has its initial value.

    Returns:
        A tensor of the shape that all bindings broadcast to and the dtype of the first one.
        Differentiable by torch with the engine's own slopes.

    Raises:
        ValueError: an input has no tensor, or there are no bindings at all.
    """
    tensors, dtype, shape = _bound(expr, bindings)
    if tensors:
        return _Evaluation.apply(expr, dtype, *tensors).expand(shape)
    (value,) = _run(forward_program(expr), {}, dtype, next(iter(bindings.values())).device)
    return value.to(dtype).expand(shape)


def value_and_slopes(expr: Expr, bindings: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Value, and the slope by each of the inputs in alphabetical order; nothing is recorded.

    Args and errors as of `evaluate`; shape and dtype too, of the value and of every slope.
    """
    return _value_and_slopes(slopes_program(expr), expr, bindings)


def value_and_gradients(expr: Expr, bindings: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Value, and the slope by each of the `variables`; otherwise like `value_and_slopes`."""
    program, _ = training_program(expr)
    return _value_and_slopes(program, expr, bindings)


def _value_and_slopes(
    program: Program, expr: Expr, bindings: Mapping[str, Tensor]
) -> tuple[Tensor, list[Tensor]]:
    tensors, dtype, shape = _bound(expr, bindings)
    named = dict(zip(variables(expr), tensors, strict=True))
    device = next(iter(bindings.values())).device
    with torch.no_grad():
        results = _run(program, named, dtype, device)
    value, *slopes = (result.to(dtype).expand(shape) for result in results)
    return value, slopes


def forward(expr: Expr, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int) -> Tensor:
    """Value of the expression, like the first input; see `backends.forward`."""
    first = inputs[0]
    bindings = _by_variable(expr, inputs, parameters, dim)
    (value,) = _run(forward_program(expr), bindings, first.dtype, first.device)
    return torch.empty_like(first).copy_(value)


def backward(
    expr: Expr, grad: Tensor, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int
) -> list[Tensor]:
    """Gradients by inputs and parameters; see `backends.backward`.

    Made of torch operations alone, so that it can be differentiated again.
    """
    first = inputs[0]
    bindings = _by_variable(expr, inputs, parameters, dim)
    slopes = _run(backward_program(expr), bindings, first.dtype, first.device)
    grad = grad.to(_wide(first.dtype))
    found = [
        (grad * slope).sum_to_size(tensor.shape)
        for slope, tensor in zip(slopes, bindings.values(), strict=True)
    ]
    if len(found) < len(inputs) + len(parameters):
        found.insert(0, torch.zeros_like(grad))
    return [
        gradient.reshape(tensor.shape)
        for gradient, tensor in zip(found, (*inputs, *parameters), strict=True)
    ]


def _by_variable(
    expr: Expr, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int
) -> dict[Input | Parameter, Tensor]:
    """Tensors that broadcast, by variable; an expression without inputs is still given one."""
    leaves = variables(expr)
    given = [*inputs, *(by_channel(p, dim) for p in parameters)]
    return dict(zip(leaves, given[len(given) - len(leaves) :], strict=True))


def by_channel(parameter: Tensor, dim: int) -> Tensor:
    """A parameter of one value, or of one for each channel, shaped to broadcast.

    Args:
        dim: the channel axis, counted from the end and so negative.
    """
    return parameter.reshape(-1, *([1] * (-dim - 1))) if parameter.ndim else parameter


def _bound(
    expr: Expr, bindings: Mapping[str, Tensor]
) -> tuple[tuple[Tensor, ...], torch.dtype, torch.Size]:
    """Tensors in the order of `variables`, and dtype and shape of the result."""
    first = next(iter(bindings.values()), None)
    if first is None:
        raise ValueError(f"'{expr}' was given no tensor, so its value has no shape")
    tensors = []
    for leaf in variables(expr):
        if leaf.name in bindings:
            tensors.append(bindings[leaf.name])
        elif isinstance(leaf, Parameter):
            tensors.append(first.new_tensor(leaf.initial))
        else:
            raise ValueError(f"'{expr}' reads the input {leaf.name}, which was given no tensor")
    # torch.broadcast_shapes is Python code and takes ten times as long.
    shape = torch.broadcast_tensors(*tensors, *bindings.values())[0].shape
    return tuple(tensors), first.dtype, shape


def _run(
    program: Program,
    bindings: Mapping[Any, Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> list[Tensor]:
    """Outputs, each of its own (broadcastable) shape; in float32 where `dtype` is half."""
    slots = _leaves(program, bindings, dtype, device)
    _execute(program.instructions, slots)
    return [slots[output] for output in program.outputs]


def _leaves(
    program: Program,
    bindings: Mapping[Any, Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> list[Tensor]:
    wide = _wide(dtype)
    slots: list[Tensor] = []
    for leaf in program.leaves:
        if isinstance(leaf, Constant):
            # torch.full refuses what overflows instead of rounding it to infinity.
            overflows = abs(leaf.value) > torch.finfo(wide).max
            number = math.copysign(math.inf, leaf.value) if overflows else leaf.value
            slots.append(torch.full((), number, dtype=wide, device=device))
        else:
            slots.append(bindings[leaf].to(wide))
    return slots


def _execute(instructions: Sequence[Instruction], slots: list[Tensor]) -> None:
    """Append one slot for each instruction."""
    for instruction in instructions:
        slots.append(instruction.operator.value(*[slots[a] for a in instruction.arguments]))


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in _HALF else dtype


class _Evaluation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, expr: Expr, dtype: torch.dtype, *tensors: Tensor) -> Tensor:
        ctx.expr, ctx.dtype, ctx.count = expr, dtype, len(tensors)
        bindings = dict(zip(variables(expr), tensors, strict=True))
        if any(ctx.needs_input_grad):
            program, length = training_program(expr)
        else:
            program = forward_program(expr)
            length = len(program.instructions)
        slots = _leaves(program, bindings, dtype, tensors[0].device)
        _execute(program.instructions[:length], slots)
        # On a CPU computing a slot again costs more than keeping it (docs/decisions.md).
        ctx.save_for_backward(*tensors, *slots)
        value = slots[program.outputs[0]].to(dtype)
        # An expression that is just its input must still return a new tensor.
        return value.clone() if any(value is t for t in tensors) else value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        tensors, slots = ctx.saved_tensors[: ctx.count], list(ctx.saved_tensors[ctx.count :])
        if torch.is_grad_enabled():
            bindings = dict(zip(variables(ctx.expr), tensors, strict=True))
            slopes = _run(backward_program(ctx.expr), bindings, ctx.dtype, grad.device)
        else:
            program, length = training_program(ctx.expr)
            _execute(program.instructions[length:], slots)
            slopes = [slots[output] for output in program.outputs[1:]]
        # In half precision the products and their sum over a parameter are in float32 too.
        grad = grad.to(_wide(ctx.dtype))
        return (
            None,
            None,
            *(
                (grad * slope).sum_to_size(tensor.shape).to(tensor.dtype) if needed else None
                for tensor, slope, needed in zip(
                    tensors, slopes, ctx.needs_input_grad[2:], strict=True
                )
            ),
        )
