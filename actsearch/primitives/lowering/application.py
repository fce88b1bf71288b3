"""An expression applied to tensors, by the shortest way that the surroundings allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ActsearchError
from ..expr import Parameter
from . import backends, eager
from .binding import Binding, decode
from .operation import activation, activation_backward, activation_second_backward


def apply(
    program: Tensor, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int
) -> Tensor:
    """`activation` of one program; arguments and result as there.

    Plain tensors bypass the dispatcher, which takes 100 us of a forward and a backward pass.
    """
    tensors = (*inputs, *parameters)
    if torch.compiler.is_compiling():
        return activation(program, list(inputs), list(parameters), dim)
    if not _is_plain(tensors):
        return _Application.apply(program, len(inputs), dim, *tensors)
    binding = decode(program)
    if backends.backend_for(inputs[0]) is backends.Backend.EAGER:
        return _eager_value(binding, tensors, dim)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Kernel.apply(binding, dim, *tensors)
    return binding.forward(tensors, dim)


def _is_plain(tensors: Sequence[Tensor]) -> bool:
    """Whether nothing transforms, traces or intercepts what is done with the tensors."""
    return (
        not torch._C._are_functorch_transforms_active()
        and not torch._C._len_torch_dispatch_stack()
        and all(type(tensor) in (Tensor, nn.Parameter) for tensor in tensors)
    )


def _eager_value(binding: Binding, tensors: Sequence[Tensor], dim: int) -> Tensor:
    bindings = {
        leaf.name: eager.by_channel(tensor, dim) if isinstance(leaf, Parameter) else tensor
        for leaf, tensor in zip(binding.leaves, tensors, strict=True)
        if leaf is not None
    }
    # The first gives shape and dtype, whether it is read or not.
    return eager.evaluate(binding.expr, {"": tensors[0], **bindings})


class _Kernel(torch.autograd.Function):
    """The kernels of a backend, which save what they read and nothing else."""

    @staticmethod
    def forward(ctx: Any, binding: Binding, dim: int, *tensors: Tensor) -> Tensor:
        ctx.binding, ctx.dim = binding, dim
        ctx.save_for_backward(*tensors)
        return binding.forward(tensors, dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        # To be differentiated again it is recorded as the torch operations that it consists of.
        module = eager if torch.is_grad_enabled() else backends
        return None, None, *ctx.binding.backward(grads[0], ctx.saved_tensors, ctx.dim, module)


class _Application(torch.autograd.Function):
    """The operation under torch.func: its own autograd rule is not accepted there, as torch makes
    no `setup_context` of it (pytorch issue 168393)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(program: Tensor, count: int, dim: int, *tensors: Tensor) -> Tensor:
        return activation(program, list(tensors[:count]), list(tensors[count:]), dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        program, ctx.count, ctx.dim, *tensors = inputs
        ctx.save_for_backward(program, *tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        program, *tensors = ctx.saved_tensors
        found = _Gradients.apply(program, ctx.count, ctx.dim, grads[0], *tensors)
        return None, None, None, *found


class _Gradients(torch.autograd.Function):
    """The backward operation under torch.func."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        program: Tensor, count: int, dim: int, grad: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        inputs, parameters = list(tensors[:count]), list(tensors[count:])
        return tuple(activation_backward(program, grad, inputs, parameters, dim))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        program, ctx.count, ctx.dim, *tensors = inputs
        ctx.save_for_backward(program, *tensors)

    @staticmethod
    def backward(ctx: Any, *seconds: Tensor) -> tuple[Tensor | None, ...]:
        program, grad, *tensors = ctx.saved_tensors
        found = _SecondGradients.apply(program, ctx.count, ctx.dim, *seconds, grad, *tensors)
        return None, None, None, *found


class _SecondGradients(torch.autograd.Function):
    """The second backward operation under torch.func, which ends there."""

    generate_vmap_rule = True

    @staticmethod
    def forward(program: Tensor, count: int, dim: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        results = len(tensors) // 2  # as many seconds as inputs and parameters, and grad
        seconds, grad, read = tensors[:results], tensors[results], tensors[results + 1 :]
        inputs, parameters = list(read[:count]), list(read[count:])
        found = activation_second_backward(program, list(seconds), grad, inputs, parameters, dim)
        return tuple(found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise ActsearchError("torch.func takes at most two derivatives of an activation")
