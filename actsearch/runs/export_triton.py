"""A candidate as one Python module of Triton kernels, which needs torch and triton alone.

The kernels are those that actsearch runs itself; around them come an autograd function and an
`nn.Module`, as in `export`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

from actsearch.primitives import Expr, Scope, infix, inputs, parameters
from actsearch.primitives.lowering import layout
from actsearch.primitives.lowering.triton_source import kernel_parts
from actsearch.primitives.lowering.triton_text import folded, indented

from .export import check_class_name, description, docstring, returned_text

_IMPORTS = """\
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn"""
_NOTES = (
    "Needs torch and triton, and a GPU, or TRITON_INTERPRET=1 to try it on a CPU. Computes in",
    "float32 what is stored as float32, bfloat16 or float16. Only the inputs are saved for the",
    "backward pass. A second derivative is refused; the module without kernels has it.",
)
_AUTOGRAD = """\
class _{class_name}(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dim: int, *tensors: Tensor) -> Tensor:
        first = tensors[0]
        if first.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise TypeError(f"the kernels take float32, bfloat16 and float16, got {{first.dtype}}")
        for tensor in tensors[1:{count}]:
            if (tensor.shape, tensor.dtype) != (first.shape, first.dtype):
                raise ValueError("the inputs must be of one shape and dtype")
        ctx.dim = dim
        ctx.save_for_backward(*tensors)
        given = laid_out_alike(tensors[:{count}])
        trained = [tensor.contiguous() for tensor in tensors[{count}:]]
        return forward(given, trained, *channel_layout(given[0], dim))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the kernels of {class_name} have no second derivative")
        tensors = ctx.saved_tensors
        *given, grad = laid_out_alike([*tensors[:{count}], grad])
        trained = [tensor.contiguous() for tensor in tensors[{count}:]]
        return None, *backward(grad, given, trained, *channel_layout(grad, ctx.dim))"""


def triton_module_source(expr: Expr, *, class_name: str, provenance: Mapping[str, str]) -> str:
    """Text of a module that defines the activation as the `nn.Module` class `class_name`.

    Args:
        class_name: an identifier, as of `export.class_name_for`.
        provenance: lines for the docstring, such as run, task and scores, in this order.

    Raises:
        ValueError: `class_name` is not a name that the module can define.
        DerivativeError: an operator in it has no derivative in closed form.
    """
    head = docstring(expr, class_name, provenance, _NOTES)
    parts = kernel_parts(expr)
    functions = (layout.laid_out_alike, layout.channel_layout, layout.is_dense)
    parts += [inspect.getsource(function).rstrip() for function in functions]
    count = len(inputs(expr)) or 1
    defined = re.findall(r"^(?:def )?(\w+)", "\n".join((_IMPORTS, *parts)), re.MULTILINE)
    imported = ("torch", "triton", "tl", "nn", "Any", "Sequence", "Tensor")
    check_class_name(class_name, (*defined, *imported))
    parts.append(_AUTOGRAD.format(class_name=class_name, count=count))
    parts.append(_module_class(expr, class_name))
    return f"{head}\n\n{_IMPORTS}\n\n" + "\n\n\n".join(parts) + "\n"


def _module_class(expr: Expr, class_name: str) -> str:
    trained = parameters(expr)
    by_channel = any(p.scope is Scope.CHANNEL for p in trained)
    lines = [f"class {class_name}(nn.Module):", f'    """{description(expr)}"""']
    if trained:
        arguments = ["self", *(["channels: int", "dim: int = 1"] if by_channel else [])]
        lines += ["", *indented(folded("def __init__", arguments, " -> None:", margin=4))]
        lines += ["        super().__init__()"]
        lines += ["        self.dim = dim"] if by_channel else []
        for parameter in trained:
            shape = "(channels,)" if parameter.scope is Scope.CHANNEL else "()"
            value = f"torch.full({shape}, {parameter.initial!r})"
            lines.append(f"        self.{parameter.name} = nn.Parameter({value})")
    names = inputs(expr) or ("x",)
    given = ["self.dim" if by_channel else "-1", *names, *(f"self.{p.name}" for p in trained)]
    arguments = ["self", *(f"{name}: Tensor" for name in names)]
    lines += ["", *indented(folded("def forward", arguments, " -> Tensor:", margin=4))]
    lines += indented(folded(f"return _{class_name}.apply", given, margin=8), 8)
    lines += ["", "    def extra_repr(self) -> str:", *returned_text(infix(expr), 8)]
    return "\n".join(lines)
