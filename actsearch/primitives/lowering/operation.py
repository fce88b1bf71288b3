"""The operation `actsearch::activation`: an expression, given as data, applied to tensors.

To a compiled network the expression is the content of a tensor, as weights are. So exchanging it
recompiles nothing, and under `torch.vmap` each slice of a stack may have an expression of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .binding import Binding, decode


@torch.library.custom_op("actsearch::activation", mutates_args=())
def activation(program: Tensor, inputs: list[Tensor], parameters: list[Tensor], dim: int) -> Tensor:
    """Value of an expression.

    Args:
        program: of `encode`. A stack of programs, of shape (*B, length), runs each on its slice:
            inputs have shape (*B, ...), parameters (*B) or (*B, channels).
        inputs: floating tensors of one shape, dtype and device.
        parameters: of shape (), or (channels,) where the inputs' axis `dim` is as long.
        dim: the channel axis, counted from the end and so negative.

    Returns:
        A tensor of the shape and dtype of the first input, differentiable by all of them.
    """
    tensors = [*inputs, *parameters]
    if program.ndim == 1:
        return decode(program).forward(tensors, dim)
    values = [binding.forward(parts, dim) for binding, parts in _slices(program, tensors)]
    return _stacked(values, inputs[0])


@torch.library.custom_op("actsearch::activation_backward", mutates_args=())
def activation_backward(
    program: Tensor, grad: Tensor, inputs: list[Tensor], parameters: list[Tensor], dim: int
) -> list[Tensor]:
    """Gradients by every input and then every parameter, each like its tensor.

    Args:
        grad: gradient by the value, of the inputs' shape; the rest as of `activation`.
    """
    tensors = [*inputs, *parameters]
    if program.ndim == 1:
        return decode(program).backward(grad, tensors, dim)
    found = [
        binding.backward(grad_part, parts, dim)
        for binding, (grad_part, *parts) in _slices(program, [grad, *tensors])
    ]
    return _stacked_lists(found, tensors)


@torch.library.custom_op("actsearch::activation_second_backward", mutates_args=())
def activation_second_backward(
    program: Tensor,
    seconds: list[Tensor],
    grad: Tensor,
    inputs: list[Tensor],
    parameters: list[Tensor],
    dim: int,
) -> list[Tensor]:
    """Gradients of `activation_backward` by grad, every input and every parameter.

    Args:
        seconds: gradients by the results of `activation_backward`, one each. The result is not
            differentiable; plain tensors are, to any order, by `apply`.
    """
    tensors = [*inputs, *parameters]
    if program.ndim == 1:
        return decode(program).second_backward(seconds, grad, tensors, dim)
    count = len(tensors)
    found = [
        binding.second_backward(parts[:count], parts[count], parts[count + 1 :], dim)
        for binding, parts in _slices(program, [*seconds, grad, *tensors])
    ]
    return _stacked_lists(found, [grad, *tensors])


def _stacked(values: Sequence[Tensor], like: Tensor) -> Tensor:
    if not values:
        return torch.empty(like.shape, dtype=like.dtype, device=like.device)
    return torch.stack(tuple(values)).view(like.shape)


def _stacked_lists(found: Sequence[Sequence[Tensor]], like: Sequence[Tensor]) -> list[Tensor]:
    return [_stacked([each[i] for each in found], tensor) for i, tensor in enumerate(like)]


@activation.register_fake
def _(program: Tensor, inputs: list[Tensor], parameters: list[Tensor], dim: int) -> Tensor:
    return _fake_like(inputs[0], program)


@activation_backward.register_fake
def _(
    program: Tensor, grad: Tensor, inputs: list[Tensor], parameters: list[Tensor], dim: int
) -> list[Tensor]:
    return [_fake_like(tensor, program) for tensor in (*inputs, *parameters)]


@activation_second_backward.register_fake
def _(
    program: Tensor,
    seconds: list[Tensor],
    grad: Tensor,
    inputs: list[Tensor],
    parameters: list[Tensor],
    dim: int,
) -> list[Tensor]:
    return [_fake_like(tensor, program) for tensor in (grad, *inputs, *parameters)]


def _fake_like(tensor: Tensor, program: Tensor) -> Tensor:
    if program.ndim == 1:
        return torch.empty_like(tensor)
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    program, *grad, tensors, trained, dim = inputs
    ctx.dim, ctx.count = dim, len(tensors)
    ctx.save_for_backward(program, *grad, *tensors, *trained)


def _first_gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    program, *tensors = ctx.saved_tensors
    found = activation_backward(program, grad, tensors[: ctx.count], tensors[ctx.count :], ctx.dim)
    return None, found[: ctx.count], found[ctx.count :], None


def _second_gradients(ctx: Any, seconds: Sequence[Tensor | None]) -> tuple[Any, ...]:
    program, grad, *tensors = ctx.saved_tensors
    given = [
        torch.zeros_like(tensor) if second is None else second
        for second, tensor in zip(seconds, tensors, strict=True)
    ]
    by_grad, *found = activation_second_backward(
        program, given, grad, tensors[: ctx.count], tensors[ctx.count :], ctx.dim
    )
    return None, by_grad, found[: ctx.count], found[ctx.count :], None


activation.register_autograd(_first_gradients, setup_context=_save)
activation_backward.register_autograd(_second_gradients, setup_context=_save)


@activation.register_vmap
def _(
    info: Any,
    in_dims: tuple[Any, ...],
    program: Tensor,
    inputs: list[Tensor],
    parameters: list[Tensor],
    dim: int,
) -> tuple[Tensor, int]:
    program_dim, input_dims, trained_dims, _ = in_dims
    size = info.batch_size
    tensors = _batch_first(size, inputs, input_dims)
    # One program on the same parameters needs no stack: the new axis is one more of the inputs.
    if program_dim is not None or program.ndim > 1 or any(d is not None for d in trained_dims):
        (program,) = _batch_first(size, [program], [program_dim])
        parameters = _batch_first(size, parameters, trained_dims)
    return activation(program, tensors, parameters, dim), 0


@activation_backward.register_vmap
def _(
    info: Any,
    in_dims: tuple[Any, ...],
    program: Tensor,
    grad: Tensor,
    inputs: list[Tensor],
    parameters: list[Tensor],
    dim: int,
) -> tuple[list[Tensor], list[int]]:
    program_dim, grad_dim, input_dims, trained_dims, _ = in_dims
    size = info.batch_size
    grad, *tensors = _batch_first(size, [grad, *inputs], [grad_dim, *input_dims])
    # Gradients by parameters are summed within a slice, so each needs a slice of its own.
    if program_dim is not None or program.ndim > 1 or parameters:
        (program,) = _batch_first(size, [program], [program_dim])
        parameters = _batch_first(size, parameters, trained_dims)
    found = activation_backward(program, grad, tensors, parameters, dim)
    return found, [0] * len(found)


@activation_second_backward.register_vmap
def _(
    info: Any,
    in_dims: tuple[Any, ...],
    program: Tensor,
    seconds: list[Tensor],
    grad: Tensor,
    inputs: list[Tensor],
    parameters: list[Tensor],
    dim: int,
) -> tuple[list[Tensor], list[int]]:
    program_dim, second_dims, grad_dim, input_dims, trained_dims, _ = in_dims
    program, *tensors = _batch_first(
        info.batch_size,
        [program, *seconds, grad, *inputs, *parameters],
        [program_dim, *second_dims, grad_dim, *input_dims, *trained_dims],
    )
    count = len(seconds)
    split = count + 1 + len(inputs)
    found = activation_second_backward(
        program, tensors[:count], tensors[count], tensors[count + 1 : split], tensors[split:], dim
    )
    return found, [0] * len(found)


def _batch_first(size: int, tensors: Sequence[Tensor], dims: Sequence[int | None]) -> list[Tensor]:
    return [
        tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, dims, strict=True)
    ]


def _slices(program: Tensor, tensors: Sequence[Tensor]) -> Iterator[tuple[Binding, list[Tensor]]]:
    """Each program of a stack with its slice of every tensor."""
    batch = program.ndim - 1
    flat = [tensor.reshape(-1, *tensor.shape[batch:]) for tensor in tensors]
    for index, one in enumerate(program.reshape(-1, program.shape[-1])):
        yield decode(one), [tensor[index] for tensor in flat]
