"""Which code runs an expression: a Triton kernel, the CPU interpreter, or torch operations.

The choice depends on device and dtype alone. Kernels compute in float32, so float64 runs on
torch operations everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..expr import Expr, Parameter
from . import cpu_interpreter, eager, triton_kernels
from .program import variables


class Backend(StrEnum):
    """What runs an expression."""

    EAGER = "torch"
    CPU = "cpu kernel"
    TRITON = "triton kernel"


def backend_for(tensor: Tensor) -> Backend:
    """The backend for inputs of this device and dtype."""
    return _backend(tensor.device, tensor.dtype)


@cache
def _backend(device: torch.device, dtype: torch.dtype) -> Backend:
    if dtype in (torch.float32, torch.bfloat16, torch.float16):
        if triton_kernels.is_available(device):
            return Backend.TRITON
        if device.type == "cpu" and cpu_interpreter.is_available():
            return Backend.CPU
    return Backend.EAGER


_MODULES = {
    Backend.EAGER: eager,
    Backend.CPU: cpu_interpreter,
    Backend.TRITON: triton_kernels,
}


def _module(expr: Expr, first: Tensor) -> Any:
    # A formula without inputs is not worth a kernel of its own kind.
    reads = variables(expr)[:1]
    if not reads or isinstance(reads[0], Parameter):
        return eager
    return _MODULES[backend_for(first)]


def forward(expr: Expr, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int) -> Tensor:
    """Value of the expression, with the shape, dtype and strides of `torch.empty_like(inputs[0])`.

    Args:
        inputs: in alphabetical order of their names; of one shape, dtype and device.
        parameters: in the order of `variables`; one value, or one for each channel.
        dim: the channel axis, negative.
    """
    if not inputs[0].numel():
        return torch.empty_like(inputs[0])
    return _module(expr, inputs[0]).forward(expr, inputs, parameters, dim)


def backward(
    expr: Expr, grad: Tensor, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int
) -> list[Tensor]:
    """Gradients by the inputs and then by the parameters, each as `torch.empty_like` of its tensor.

    Args:
        grad: gradient by the value of `forward`.
    """
    if not inputs[0].numel():
        return [torch.zeros_like(tensor) for tensor in (*inputs, *parameters)]
    gradients = _module(expr, inputs[0]).backward(
        expr, grad.to(inputs[0].dtype), inputs, parameters, dim
    )
    return [
        _as_empty_like(found, tensor)
        for found, tensor in zip(gradients, (*inputs, *parameters), strict=True)
    ]


def _as_empty_like(found: Tensor, tensor: Tensor) -> Tensor:
    """The same numbers with the dtype and strides of `torch.empty_like(tensor)`."""
    if found.dtype == tensor.dtype and found.stride() == tensor.stride():
        return found
    wanted = torch.empty_like(tensor)
    if found.dtype == wanted.dtype and found.stride() == wanted.stride():
        return found
    return wanted.copy_(found)
